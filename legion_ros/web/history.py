"""What the page plots: successes by task, and the newest minutes of distance, success and latency."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from legion_core.spaces import Vector


@dataclass
class Attempts:
    """How often a task was begun, and how often it was done."""

    begun: int = 0
    done: int = 0


class Tally:
    """Counts attempts and successes by task. A success counts once an attempt, and only after it was seen to be absent:
    what is said of the attempt before must not count for the next. That it is absent may be heard before the task."""

    def __init__(self) -> None:
        self.tasks: dict[str, Attempts] = {}
        self._running = self._undone = ""

    def begin(self, task: str) -> None:
        """A task begins; '' ends the one that runs."""
        self._running = task
        if task:
            self.tasks.setdefault(task, Attempts()).begun += 1

    def see(self, task: str, success: bool) -> None:
        """Whether that task is done."""
        if not success:
            self._undone = task
            return
        if task and task == self._running == self._undone:
            self.tasks[task].done += 1
            self._running = ""
        self._undone = ""

    def credit(self, task: str) -> None:
        """An attempt at a task that was begun has succeeded, whether it still runs or not."""
        attempts = self.tasks.setdefault(task, Attempts())
        attempts.done = min(attempts.done + 1, attempts.begun)


class Curves:
    """Rows of numbers over time, the newest `length` of them, as the plots want them: one array a column."""

    def __init__(self, columns: int, length: int) -> None:
        self._rows: deque[tuple[float, ...]] = deque(maxlen=length)
        self._columns = columns

    def add(self, seconds: float, *values: float) -> None:
        """One row at a time in s."""
        self._rows.append((seconds, *values))

    def arrays(self) -> tuple[Vector, ...]:
        """Times in s before the newest row, then each column."""
        rows = np.array(self._rows or [(0.0,) * (self._columns + 1)])
        return (rows[:, 0] - rows[-1, 0], *rows[:, 1:].T)
