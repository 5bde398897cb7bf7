"""Task frames: a task whose goal lies elsewhere on the table, observed as if it lay where the policy has learned it.

A policy has seen each goal in one region of the table. What it has learned is how hand, object and goal lie to each
other, so where the goal is outside, everything is moved along the table until the goal lies on the region's edge: a
calibration of that task's own, found from the observation alone. Actions are displacements and stay what they are. A
goal within the region, give or take `MARGIN_M`, is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from legion_core.spaces import Float32, ObservationSpec

Region = tuple[tuple[float, float], tuple[float, float]]
"""The ranges of x and y in the sim frame, metres."""
MARGIN_M = 0.02
"""More than the errors of a calibration, less than what the policy notices."""

GOALS: dict[str, Region] = {
    "reach": ((-0.1, 0.1), (0.8, 0.9)),
    "push": ((-0.1, 0.1), (0.8, 0.9)),
    "pick-place": ((-0.1, 0.1), (0.8, 0.9)),
    "door-open": ((-0.3, -0.2), (0.4, 0.5)),
    "faucet-open": ((0.125, 0.225), (0.8, 0.85)),
    "drawer-close": ((-0.1, 0.1), (0.74, 0.74)),
    "button-press-topdown": ((-0.1, 0.1), (0.8, 0.9)),
    "peg-unplug-side": ((-0.056, 0.044), (0.6, 0.8)),
    "window-open": ((0.1, 0.3), (0.7, 0.9)),
    "window-close": ((0.0, 0.0), (0.75, 0.9)),
}
"""Where Meta-World puts the goals of the ten tasks."""

_MOVED = ("hand", "object", "goal")
"""None of the ten tasks has a second object; its fields stay zero."""


class TaskFrame:
    """Moves observations (spec.size,) into the region that the policy knows; it keeps nothing from one to the next.

    A task that `goals` does not name is observed as it is.
    """

    def __init__(self, spec: ObservationSpec, goals: Mapping[str, Region]) -> None:
        self._goals = goals
        named = {name: i for i, name in enumerate(spec.fields)}
        axes = [[f"{thing}_{axis}" for thing in _MOVED] for axis in "xy"]
        self._columns = [np.array([named[name] for name in names if name in named], np.intp) for names in axes]
        self._goal = [named.get(f"goal_{axis}") for axis in "xy"]

    def shift_m(self, task: str, observation: Float32) -> tuple[float, float]:
        """How far along x and y everything is moved for that task: not at all, unless its goal is elsewhere."""
        if task not in self._goals:
            return 0.0, 0.0
        x, y = (_into(region, observation, i) for region, i in zip(self._goals[task], self._goal, strict=True))
        return x, y

    def apply(self, task: str, observation: Float32) -> Float32:
        """The observation in the task's frame; the very same array where nothing is moved."""
        shift = self.shift_m(task, observation)
        if shift == (0.0, 0.0):
            return observation
        moved = observation.copy()
        for columns, distance in zip(self._columns, shift, strict=True):
            moved[columns] += np.float32(distance)
        return moved


def _into(allowed: tuple[float, float], observation: Float32, goal: int | None) -> float:
    if goal is None:
        return 0.0
    value = float(observation[goal])
    low, high = allowed
    if low - MARGIN_M <= value <= high + MARGIN_M:
        return 0.0
    return (low if value < low else high) - value
