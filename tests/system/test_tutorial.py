"""The commands of the tutorial, one after the other, as they stand there."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

ROOT = Path(__file__).resolve().parents[2]
NOT_HERE = ("make run", "source ")
"""What needs another machine or shell: `make run` installs, then runs `legion deploy --instruction ... --once`."""
PROGRAMS = {"legion": [sys.executable, "-m", "legion_ros.cli.main"], "python": [sys.executable]}


def commands() -> Iterator[tuple[str, int]]:
    """Every command of the tutorial, and the exit code that it promises."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            command, _, comment = line.partition("  #")
            if not command.startswith(NOT_HERE):
                yield command.strip(), int("exit code 1" in comment)


def arguments(command: str) -> list[str]:
    program, *rest = shlex.split(command)
    return [*PROGRAMS[program], *rest]


def test_the_tutorial() -> None:
    (first, _), *later = commands()
    assert first == "legion deploy"
    assert len(later) == 10
    deployment = subprocess.Popen(arguments(first), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert deployment.stderr is not None
        assert any("legion say" in line for line in deployment.stderr)
        for command, code in later:
            done = subprocess.run(
                arguments(command), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
    finally:
        deployment.send_signal(signal.SIGINT)
        deployment.communicate(timeout=60)
    assert deployment.returncode == 0
