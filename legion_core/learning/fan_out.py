"""Many runs at once: seeds and orders over local processes or a cluster, each run in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from legion_core.errors import RunError
from legion_core.learning.settings import RunSettings
from legion_core.learning.trainer import Bridges, train


@dataclass(frozen=True)
class RunJob:
    """One run for one process; the folder must be reachable under this name where it runs."""

    settings: RunSettings
    folder: str
    bridges: Bridges = field(default_factory=Bridges)
    command: str = "legion_core.learning.fan_out.train_many"


def run_job(job: RunJob) -> float:
    """The mean success of the finished run over actuations; NaN where the final evaluation was left out."""
    bundle = train(job.settings, job.folder, bridges=job.bridges, command=job.command, progress=False)
    means = [score["mean"] for score in bundle.manifest.success.values()]
    return sum(means) / len(means) if means else float("nan")


def train_many(jobs: Sequence[RunJob], pool: Executor) -> Iterator[tuple[RunJob, float]]:
    """Each job with its mean success, in the order of the jobs.

    Raises:
        RunError: a folder exists already; found before any run begins.
    """
    for job in jobs:
        if Path(job.folder).exists():
            raise RunError(f"{job.folder} exists already; choose another folder, or resume it by itself")
    yield from zip(jobs, pool.map(run_job, jobs), strict=True)
