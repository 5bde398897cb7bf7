"""Runs: complete, refused before work is lost, and after a kill -9 the same as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("metaworld")
pytest.importorskip("sentence_transformers")

from legion_core.bundle import PolicyBundle  # noqa: E402
from legion_core.errors import ConfigurationError, RunError, SimulationError, TaskError  # noqa: E402
from legion_core.learning import trainer  # noqa: E402
from legion_core.learning.run_directory import RunDirectory  # noqa: E402
from legion_core.learning.settings import run_settings  # noqa: E402
from legion_core.learning.trainer import train  # noqa: E402

TINY: dict[str, Any] = {
    "tasks": ["reach", "drawer-close"],
    "demonstrations": "scripted",
    "after_success": 3,
    "plan": {"first_episodes": 1, "first_updates": 12, "rounds": 2, "episodes": 1, "updates": 10},
    "replay": {"capacity": 300, "retention": "reservoir", "balance": True},
    "evaluation": {"start": 1, "round": 1, "stage": 1, "final": 2},
    "checkpoint_updates": 10,
    "tensorboard": False,
    "agent": {
        "batch": 32,
        "final_rate": 0.5,
        "encoder_first": 5,
        "encoder_interval": 2,
        "mixture_first": 15,
        "mixture_interval": 8,
        "mixture_latents": 100,
        "architecture": {"latent": 4, "encoder_width": 32, "actor_width": 24},
    },
}
PURE: dict[str, Any] = {
    **TINY,
    "demonstrations": "none",
    "plan": {"first_episodes": 1, "first_updates": 3, "rounds": 1, "episodes": 1, "updates": 6},
}
CHILD = """
import sys, yaml
from legion_core.learning.settings import run_settings
from legion_core.learning.trainer import train
if __name__ == "__main__":
    train(run_settings(yaml.safe_load(sys.argv[1])), sys.argv[2], progress=False)
"""
TIMES = ("wall_s", "updates_per_s")


def records(run: Path) -> list[dict[str, Any]]:
    """The metrics without what a clock says."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    assert records(one) == records(other)
    for name in ("bundle", "best", "stages/00-reach/bundle", "stages/01-drawer-close/bundle"):
        a, b = PolicyBundle.load(one / name), PolicyBundle.load(other / name)
        for key, array in a.weights.items():
            np.testing.assert_array_equal(array, b.weights[key], err_msg=f"{name}: {key}")
        np.testing.assert_array_equal(a.knowledge.means, b.knowledge.means)
    ours, theirs = (np.load(run / "stages/01-drawer-close/latents.npz") for run in (one, other))
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key])


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train(run_settings(TINY), run, command="legion train", progress=False)
    return run


def test_a_run_leaves_everything_it_should(whole: Path) -> None:
    bundle = PolicyBundle.load(whole / "bundle")
    assert bundle.task_names == ("reach", "drawer-close")
    assert set(bundle.manifest.typical) == set(bundle.task_names)
    assert bundle.manifest.training["command"] == "legion train"
    assert set(bundle.manifest.success["mocap"]["tasks"]) == {"reach", "drawer-close"}
    assert [folder.name for folder in RunDirectory.read(whole).stages] == ["00-reach", "01-drawer-close"]
    kinds = [record["kind"] for record in records(whole)]
    assert {"stage", "collect", "updates", "evaluation", "mixture"} == set(kinds)
    assert kinds.count("mixture") == 2 * (3 + 1), "at 15, 23 and 31 updates of 32, and at the stage's end"
    last = records(whole)[-1]
    assert (last["when"], last["update"]) == ("final", 2 * 32)
    assert {task: counts["episodes"] for task, counts in last["tasks"].items()} == {"reach": 2, "drawer-close": 2}


def test_the_same_settings_give_the_same_run(whole: Path, tmp_path: Path) -> None:
    train(run_settings({**TINY, "processes": 2}), tmp_path / "run", progress=False)
    assert_same_run(whole, tmp_path / "run")


@pytest.mark.parametrize("checkpoints", [2, 5])
def test_a_killed_run_resumes_to_the_same_end(whole: Path, tmp_path: Path, checkpoints: int) -> None:
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, yaml.safe_dump(TINY), str(run)], start_new_session=True, cwd=tmp_path
    )
    deadline = time.monotonic() + 200
    while not (run / "checkpoints" / f"{checkpoints:06d}").exists():
        assert child.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.kill()
    child.wait()
    while _group_lives(child.pid):
        assert time.monotonic() < deadline, "a worker outlived the run"
        time.sleep(0.05)
    train(run_settings(RunDirectory.read(run).settings), run, resume=True, progress=False)
    assert_same_run(whole, run)


def test_a_finished_run_resumes_from_any_kept_checkpoint_to_the_same_end(whole: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(whole, run)
    oldest = RunDirectory.read(run).checkpoints()[0]
    train(run_settings(TINY), run, resume=True, checkpoint=oldest, progress=False)
    assert_same_run(whole, run)


def test_reinforcement_alone_takes_the_same_path(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run_settings({**PURE, "mode": "expanding"}), run, progress=False)
    found = records(run)
    assert {record["who"] for record in found if record["kind"] == "collect"} == {"random", "policy"}
    practised = [record["tasks"] for record in found if record["kind"] == "stage" and record["event"] == "start"]
    assert practised == [["reach"], ["reach", "drawer-close"]]
    losses = next(record["losses"] for record in found if record["kind"] == "updates")
    assert "imitation" not in losses
    assert "critic" in losses


def test_a_run_is_never_overwritten(whole: Path) -> None:
    before = (whole / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"exists already.*--resume"):
        train(run_settings(TINY), whole, progress=False)
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_a_run_in_use_is_not_entered(whole: Path) -> None:
    with RunDirectory.open(whole, tensorboard=False), pytest.raises(RunError, match=str(os.getpid())):
        train(run_settings(TINY), whole, resume=True, progress=False)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"tasks": ["fly"]}, TaskError, "fly"),
        ({"order": ["sideways"]}, ConfigurationError, "sideways"),
        ({"observation": ["mood"]}, Exception, "mood"),
        ({"device": "cuda:9"}, ConfigurationError, "cuda:9"),
        ({"actuations": ["servo"]}, SimulationError, "bridge"),
        ({"arm": "sawyer", "actuations": ["servo"]}, SimulationError, "bridge|sawyer"),
    ],
)
def test_what_cannot_work_is_refused_before_a_folder_is_made(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        train(run_settings({**TINY, **change}), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_noticed_before_anything_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.Preparation, "bytes_needed", 10**18)
    with pytest.raises(RunError, match="free"):
        train(run_settings(TINY), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_there_is_nothing_to_resume_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not the folder of a run"):
        train(run_settings(TINY), tmp_path, resume=True, progress=False)
