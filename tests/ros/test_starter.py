"""Processes of the graph: started, watched, started again, ended, never left behind. With small programs as nodes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import alive

from legion_core.errors import ConfigurationError, DeploymentError
from legion_core.parent import die_with_parent
from legion_ros.deployment import NodeSpec, Respawn
from legion_ros.domain import domain_id
from legion_ros.starter import Starter


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs that stay, that do not listen to polite signals, and that fail with a word."""
    scripts = {
        "steady": "exec sleep 60",
        "stubborn": "trap '' INT TERM; while true; do sleep 1; done",
        "failing": "echo 'failing: no such robot' >&2; exit 1",
    }
    for name, text in scripts.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    yield


def program(name: str, **more: object) -> NodeSpec:
    return NodeSpec(name, package="test_programs", namespace=f"/test_{os.getpid()}", **more)  # type: ignore[arg-type]


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def pid_of(starter: Starter, name: str) -> int:
    pid = starter[name].pid
    assert pid is not None
    return pid


def test_processes_run_until_the_end_of_the_block() -> None:
    with Starter([program("steady")]) as starter:
        list(starter.wait_ready())
        pid = pid_of(starter, "steady")
        assert alive(pid)
        assert os.getpgid(pid) == pid, "a process group of its own"
    assert not alive(pid)


def test_who_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    grace = ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, 2.0))
    monkeypatch.setattr("legion_ros.starter.GRACE_S", grace)
    with Starter([program("stubborn")]) as starter:
        pid = pid_of(starter, "stubborn")
        time.sleep(0.2)
    assert not alive(pid)


def test_a_process_that_dies_is_started_again() -> None:
    with Starter([program("steady", respawn=Respawn(attempts=2, delay_s=0.05))]) as starter:
        first = pid_of(starter, "steady")
        os.kill(first, signal.SIGKILL)
        events: list[str] = []
        assert until(lambda: bool(events.extend(starter.poll())) or starter["steady"].pid not in (None, first))
        assert any("killed by SIGKILL; it starts again in 0.1 s" in event for event in events)


def test_logs_that_somebody_deletes_keep_no_process_from_coming_back() -> None:
    specs = program("steady", parameters={"rate": 1}, respawn=Respawn(delay_s=0.01)), program("failing", critical=False)
    with Starter(specs) as starter:
        shutil.rmtree(starter.folder)
        events: list[str] = []
        assert until(lambda: bool(events.extend(starter.poll())) or bool(events))
        assert "failing ended with exit code 1 (its log is gone" in events[0]
        first = pid_of(starter, "steady")
        os.kill(first, signal.SIGKILL)
        assert until(lambda: bool(starter.poll() and False) or starter["steady"].pid not in (None, first))
        assert (starter.folder / "steady.params.yaml").is_file()


def test_a_folder_of_logs_that_cannot_be_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", "/proc/nowhere")
    with pytest.raises(DeploymentError, match=r"cannot start steady: .*: /proc/nowhere"):
        Starter([program("steady")]).__enter__()


def test_deaths_long_ago_do_not_count() -> None:
    with Starter([program("steady", respawn=Respawn(attempts=1, delay_s=0.01, forgive_s=0.0))]) as starter:
        for _ in range(3):
            last = pid_of(starter, "steady")
            os.kill(last, signal.SIGKILL)
            assert until(lambda last=last: bool(starter.poll() and False) or starter["steady"].pid not in (None, last))


def test_a_critical_process_that_is_lost_ends_the_graph() -> None:
    with Starter([program("steady", respawn=None)]) as starter:
        os.kill(pid_of(starter, "steady"), signal.SIGKILL)
        with pytest.raises(DeploymentError, match="steady killed by SIGKILL"):
            until(lambda: bool(starter.poll()) and False)


def test_one_that_is_not_critical_does_not() -> None:
    with Starter([program("steady", respawn=None, critical=False)]) as starter:
        os.kill(pid_of(starter, "steady"), signal.SIGKILL)
        events: list[str] = []
        assert until(lambda: bool(events.extend(starter.poll())) or bool(events))
        assert starter.ready


def test_the_last_words_of_a_failing_process_are_the_error() -> None:
    with Starter([program("failing")]) as starter, pytest.raises(DeploymentError, match="exit code 1: no such robot"):
        until(lambda: bool(starter.poll()) and False)


def test_a_second_deployment_in_the_same_place_is_refused() -> None:
    with Starter([program("steady")]):
        with pytest.raises(DeploymentError, match="a deployment runs already in domain"):
            Starter([program("steady")])
        with Starter([NodeSpec("steady", package="test_programs", namespace="/elsewhere")]):
            pass
    with Starter([program("steady")]):
        pass


def test_programs_that_are_not_installed() -> None:
    with pytest.raises(DeploymentError, match="rviz17 is not installed"):
        Starter([program("rviz17")])
    assert Starter([program("steady"), program("rviz17", optional=True)]).processes[0].spec.name == "steady"


@pytest.mark.parametrize("text", ["-1", "233", "zero"])
def test_an_impossible_domain_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", text)
    with pytest.raises(ConfigurationError, match="allowed: 0 to 232"):
        domain_id()


def test_a_signal_while_a_process_is_born_is_not_lost() -> None:
    code = f"""
import os, signal
from legion_ros.deployment import NodeSpec
from legion_ros.starter import Starter
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGINT))
try:
    with Starter([NodeSpec("steady", package="test_programs", namespace="/born_{os.getpid()}")]):
        print("up")
except KeyboardInterrupt:
    print("interrupted")
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "interrupted\n"


def test_who_is_born_after_its_parent_died_ends_at_once() -> None:
    died = os.getpid() + 1
    assert subprocess.run(["sleep", "60"], preexec_fn=lambda: die_with_parent(died), check=False).returncode == 1


def test_a_killed_starter_leaves_nothing_behind(tmp_path: Path) -> None:
    code = f"""
import sys, time
from legion_ros.deployment import NodeSpec
from legion_ros.starter import Starter
with Starter([NodeSpec("stubborn", package="test_programs", namespace="/killed_{os.getpid()}")]) as starter:
    print(starter["stubborn"].pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    assert until(lambda: not alive(pid))
