"""Many runs at once: each in its folder, with the result of one that runs alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("metaworld")
pytest.importorskip("sentence_transformers")

from legion_core.bundle import PolicyBundle
from legion_core.errors import RunError
from legion_core.learning.fan_out import RunJob, train_many
from legion_core.learning.settings import RunSettings, run_settings
from legion_core.workers import worker_pool


def settings(seed: int) -> RunSettings:
    return run_settings(
        {
            "tasks": ["reach"],
            "seed": seed,
            "plan": {"first_episodes": 1, "first_updates": 2, "rounds": 0},
            "evaluation": {"stage": 0, "final": 2},
            "tensorboard": False,
            "agent": {"batch": 16, "mixture_latents": 100},
        }
    )


def test_seeds_run_side_by_side_and_differ(tmp_path: Path) -> None:
    jobs = [RunJob(settings(seed), str(tmp_path / f"curriculum-{seed}"), command="legion train") for seed in (1, 2)]
    with worker_pool(2) as pool:
        results = list(train_many(jobs, pool))
    assert [job for job, _ in results] == jobs
    bundles = [PolicyBundle.load(Path(job.folder) / "bundle") for job in jobs]
    for (_, mean), bundle in zip(results, bundles, strict=True):
        assert mean == bundle.manifest.success["mocap"]["mean"]
    one, other = (bundle.weights["actor.model.0.weight"] for bundle in bundles)
    assert not np.array_equal(one, other)


def test_no_run_begins_when_one_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    jobs = [RunJob(settings(0), str(tmp_path / name)) for name in "ab"]
    with worker_pool(1) as pool, pytest.raises(RunError, match="b exists already"):
        list(train_many(jobs, pool))
    assert not (tmp_path / "a").exists()
