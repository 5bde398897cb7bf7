"""`legion deploy` and `legion say` as an operator runs them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import alive
from running import POLICY

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

from legion_core.bundle import PolicyBundle
from legion_ros.domain import own_domain

LEGION = [sys.executable, "-m", "legion_ros.cli.main"]


def legion(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LEGION, *arguments], capture_output=True, text=True, timeout=120, check=False)


def deploy_in_background(*arguments: str) -> subprocess.Popen[str]:
    """A deployment of the policy under test that is up."""
    command = [*LEGION, "deploy", "--policy", POLICY, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "legion say" in line:
            return process
    raise AssertionError(f"legion deploy ended with {process.wait()}")


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in tasks.split()]


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_once_ends_with_success_and_a_summary() -> None:
    result = legion("deploy", "--policy", POLICY, "--instruction", "close the drawer", "--once", "--lockstep")
    assert result.returncode == 0, result.stderr
    for words in ("success", "drawer-close", "steps", "guard interventions"):
        assert words in result.stdout
    assert re.search(r"all nodes are active after \d+", result.stderr)


def test_once_fails_on_what_it_does_not_understand() -> None:
    result = legion("deploy", "--policy", POLICY, "--instruction", "sing a song", "--once")
    assert result.returncode == 1
    assert "is not understood; the nearest tasks are" in result.stderr


def assert_leaves_nothing(process: subprocess.Popen[str], ending: signal.Signals) -> None:
    """A deployment that gets a signal takes its nodes along."""
    nodes = children_of(process.pid)
    assert len(nodes) == 8
    process.send_signal(ending)
    code = process.wait(20)
    assert process.stderr is not None
    said = process.stderr.read()
    assert code == (-9 if ending == signal.SIGKILL else 0), said
    assert until(lambda: not any(alive(pid) for pid in nodes))
    assert "Traceback" not in said


def test_two_deployments_from_say_to_their_ends() -> None:
    """One is in a namespace. What ends by Ctrl-C is in test_cell.py."""
    first = deploy_in_background()
    second = deploy_in_background("--namespace", "left")
    try:
        refused = legion("deploy", "--policy", POLICY)
        assert refused.returncode == 1
        assert "a deployment runs already in domain" in refused.stderr
        answer = legion("say", "push the button", "--namespace", "left")
        assert answer.returncode == 0, answer.stderr
        assert "button-press-topdown" in answer.stdout
        nobody = legion("say", "push the button", "--namespace", "right", "--timeout", "1")
        assert nobody.returncode == 1
        assert "nobody listens on /right/legion/instruction" in nobody.stderr
        tea = legion("say", "make me a cup of tea")
        assert tea.returncode == 1
        assert "not understood; the nearest tasks are" in tea.stdout
        assert_leaves_nothing(first, signal.SIGTERM)
        assert_leaves_nothing(second, signal.SIGKILL)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def broken_bundle(folder: Path, damage: str) -> Path:
    PolicyBundle.load(POLICY or None).save(folder)
    weights = folder / "weights.safetensors"
    if damage == "hash":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    else:
        weights.unlink()
    return folder


@pytest.mark.parametrize(("damage", "message"), [("hash", "sha256"), ("missing", "cannot read")])
def test_a_broken_bundle_is_one_clear_error(tmp_path: Path, damage: str, message: str) -> None:
    folder = broken_bundle(tmp_path / "bundle", damage)
    result = legion("deploy", "--policy", str(folder))
    assert result.returncode == 1
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("legion deploy:")]
    assert "weights.safetensors" in error
    assert message in error
    assert "Traceback" not in result.stderr


def test_an_unknown_parameter_of_a_file_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("/**/policy_node: {ros__parameters: {polcy: /somewhere}}\n", encoding="utf-8")
    result = legion("deploy", "--policy", POLICY, "--params-file", str(file))
    assert result.returncode == 1
    assert "unknown parameter 'polcy' (did you mean policy?); allowed: realtime, policy" in result.stderr


def test_a_busy_domain_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation picks a domain of its own and gives the old one back."""
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    with own_domain() as domain:
        assert os.environ["ROS_DOMAIN_ID"] == str(domain)
    assert os.environ["ROS_DOMAIN_ID"] == "7"
