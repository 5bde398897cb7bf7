"""Many environments at once, one process each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gymnasium.vector import AsyncVectorEnv

from legion_core.sim import TaskEnv, make_env


def factory(task: str, **settings: Any) -> partial[TaskEnv]:
    """A picklable factory of `make_env(task, **settings)`."""
    return partial(make_env, task, **settings)


def make_vector_env(tasks: Sequence[str], **settings: Any) -> AsyncVectorEnv:
    """One environment a task named (names may repeat), each in a process of its own, stepped together.

    Processes are spawned: forking one that holds OpenGL or thread pools is not safe.
    """
    return AsyncVectorEnv([factory(task, **settings) for task in tasks], context="spawn")
