"""The examples do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_a_sentence_of_two_tasks_without_ros() -> None:
    result = example("python_api.py", "--seed", "7", "close the window, then press the button")
    assert result.returncode == 0, result.stderr
    assert "means window-close, button-press-topdown" in result.stdout
    assert result.stdout.count("  done after ") == 2
    assert "component of the latent: window-close in " in result.stdout


def test_what_is_no_task_moves_nothing() -> None:
    result = example("python_api.py", "peel a banana")
    assert result.returncode == 1
    assert "is no task" in result.stdout
    assert "steps" not in result.stdout


def test_the_knowledge_of_the_shipped_policy() -> None:
    result = example("inspect_knowledge.py")
    assert result.returncode == 0, result.stderr
    assert "10 tasks, 10 components in 10 dimensions" in result.stdout
    assert "window-open            " in result.stdout


def test_a_policy_that_is_not_there_is_one_line() -> None:
    result = example("inspect_knowledge.py", "nowhere")
    assert result.returncode == 1
    assert result.stderr == "nowhere: no such folder; expected a policy bundle with manifest.json\n"
