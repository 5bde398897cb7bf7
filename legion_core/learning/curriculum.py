"""Modes and orders of learning as one thing: a sequence of stages, each with the tasks that are practised in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legion_core.errors import ConfigurationError, unknown

ORDERS = ("curriculum", "random", "reverse")


@dataclass(frozen=True)
class Stage:
    """One stage: the tasks that are practised, and all that have been met by then."""

    index: int
    tasks: tuple[str, ...]
    seen: tuple[str, ...]

    @property
    def name(self) -> str:
        """For folders: `03-door-open`, `00-multitask`."""
        return f"{self.index:02d}-{self.tasks[-1] if len(self.tasks) == 1 else f'{len(self.tasks)}-tasks'}"


def schedule(mode: str, order: Sequence[str], tasks: Sequence[str], *, seed: int = 0, meetings: int = 3) -> list[Stage]:
    """The stages of a run.

    `multitask` practises all tasks at once; `lifelong` one after the other, each once; `few_shot` goes through the
    order `meetings` times; `expanding` adds a task at each stage to those practised.

    Raises:
        ConfigurationError: an unknown mode, order or task, or a task that an order names twice.
    """
    ordered = _ordered(order, tasks, seed)
    practised: list[tuple[str, ...]]
    if mode == "multitask":
        practised = [ordered]
    elif mode == "lifelong":
        practised = [(task,) for task in ordered]
    elif mode == "few_shot":
        practised = [(task,) for _ in range(meetings) for task in ordered]
    elif mode == "expanding":
        practised = [ordered[: count + 1] for count in range(len(ordered))]
    else:
        raise ConfigurationError(unknown("mode", mode, ("multitask", "lifelong", "few_shot", "expanding")))
    seen: dict[str, None] = {}
    stages = []
    for index, names in enumerate(practised):
        seen.update(dict.fromkeys(names))
        stages.append(Stage(index, names, tuple(seen)))
    return stages


def _ordered(order: Sequence[str], tasks: Sequence[str], seed: int) -> tuple[str, ...]:
    if tuple(order) == ("curriculum",):
        return tuple(tasks)
    if tuple(order) == ("reverse",):
        return tuple(reversed(tasks))
    if tuple(order) == ("random",):
        return tuple(tasks[i] for i in np.random.default_rng(seed).permutation(len(tasks)))
    if not order:
        raise ConfigurationError(f"order is empty; allowed: {', '.join(ORDERS)}, or a list of tasks")
    for name in order:
        if name not in tasks:
            raise ConfigurationError(unknown("task or order", name, (*ORDERS, *tasks)))
    if len(set(order)) < len(order):
        raise ConfigurationError(f"order names a task twice: {', '.join(order)}")
    return tuple(order)
