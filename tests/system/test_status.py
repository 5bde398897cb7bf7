"""`legion status` of a running graph: well, then a node hangs, then the arm is stopped; and where nothing runs."""

from __future__ import annotations

import os
import signal

import pytest
from running import deployment

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

from legion_ros.cli.main import main


def test_the_state_of_a_graph_in_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    def status() -> tuple[int, str]:
        return main(["status", "--namespace", "left"]), capsys.readouterr().out

    with deployment(namespace="left") as (starter, client):
        assert client.say("open the window").accepted
        assert client.wait(lambda: client.status_value("policy_node", "rate_hz", 0.0) > 10.0, 20.0)
        code, said = status()
        assert (code, said.splitlines()[-1]) == (0, "nothing is wrong"), said
        assert said.startswith("task: window-open (domain ")
        assert "component 6 (window-open)" in said
        assert "log-likelihood -" in said

        client.e_stop(True)
        assert client.wait(lambda: client.status_value("sim2real_node", "e_stop") == "True", 10.0)
        watchdog = next(process for process in starter.processes if process.spec.name == "watchdog_node")
        os.kill(watchdog.pid, signal.SIGSTOP)
        client.spin(3.0)
        code, said = status()
        os.kill(watchdog.pid, signal.SIGCONT)
        assert code == 1
        assert "emergency stop: operator" in said
        assert "legion stop --clear" in said
        assert "silent for " in said
        assert "2 things are wrong" in said, said


def test_where_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--namespace", "nobody", "--timeout", "0.5"]) == 1
    assert "legion deploy" in capsys.readouterr().err
