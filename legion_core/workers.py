"""Simulation in several processes, each on one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from legion_core.parent import die_with_parent

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Job = TypeVar("Job")
Result = TypeVar("Result")


def worker_pool(processes: int) -> Executor:
    """A pool of spawned processes: a fork of one that holds thread pools may hang.

    Each computes on one thread, because small matrices on many threads of busy cores are slower by far. They ignore
    Ctrl-C, which is for the process that started them, and end with it even when it is killed.
    """
    for variable in THREAD_LIMITS:
        os.environ.setdefault(variable, "1")
    return ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_follow, initargs=(os.getpid(),)
    )


def _follow(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    if sys.platform == "linux" and os.getppid() != parent:  # it died before it could be followed
        os._exit(1)


def run_jobs(
    pool: Executor, function: Callable[[Job], Result], jobs: Sequence[Job], title: str, progress: bool
) -> Iterator[Result]:
    """The results of `function` for every job, in the order of the jobs, under a progress bar."""
    yield from tqdm(
        pool.map(function, jobs), desc=title, total=len(jobs), disable=None if progress else True, leave=False
    )
