"""Whether a task is solved, from the observation alone: Meta-World's own rule of each of the ten tasks.

A rule measures how far object and goal, or tool and goal, are apart. All measure differences, so the frame is of no
matter. The tool's tip is not observed: it lies `TIP_M` below the hand as long as the tool points down, so `reach` is
judged more strictly than Meta-World does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legion_core.spaces import LEGION_FIELDS, Float32, ObservationSpec, Vector
from legion_core.tasks import get_task

TIP_M = np.array((0.0, 0.0, -0.045))
"""From the hand to between the finger tips, the tool pointing down."""
TILT_M = 0.01
"""What a tilted tool may shift its tip by."""
MARGIN_M = 1e-4
"""More than rounding, so that the rule itself holds wherever this one does."""
HOLD_STEPS = 3
"""A rule must hold in so many observations in a row: one of them may be noise."""


@dataclass(frozen=True)
class _Rule:
    """Solved while `distance(hand, object, goal)` (m) is at most `radius_m`."""

    distance: Callable[[Vector, Vector, Vector], float]
    radius_m: float


def _tip(hand: Vector, thing: Vector, goal: Vector) -> float:
    return math.dist(hand + TIP_M, goal)


def _object(hand: Vector, thing: Vector, goal: Vector) -> float:
    return math.dist(thing, goal)


def _handle(hand: Vector, thing: Vector, goal: Vector) -> float:
    """Meta-World's middle of the faucet's handle, whose tip is observed."""
    return math.dist(thing + np.array((-0.04, 0.0, 0.03)), goal)


def _sideways(hand: Vector, thing: Vector, goal: Vector) -> float:
    return abs(float(thing[0] - goal[0]))


def _height(hand: Vector, thing: Vector, goal: Vector) -> float:
    return abs(float(thing[2] - goal[2]))


_RULES = {
    "reach": _Rule(_tip, 0.05 - TILT_M),
    "push": _Rule(_object, 0.05),
    "pick-place": _Rule(_object, 0.07),
    "door-open": _Rule(_sideways, 0.08),
    "faucet-open": _Rule(_handle, 0.07),
    "drawer-close": _Rule(_object, 0.065),
    "button-press-topdown": _Rule(_height, 0.024),
    "peg-unplug-side": _Rule(_object, 0.07),
    "window-open": _Rule(_sideways, 0.05),
    "window-close": _Rule(_sideways, 0.05),
}
_FIELDS = ObservationSpec(LEGION_FIELDS)


class SuccessDetector:
    """Watches one attempt at one of the ten tasks.

    Raises:
        TaskError: another task.
    """

    def __init__(self, task: str, hold_steps: int = HOLD_STEPS) -> None:
        self._rule = _RULES[get_task(task, "ten").name]
        self._hold_steps = hold_steps
        self._held = 0

    def update(self, observation: Float32) -> bool:
        """Whether the task is solved, as far as this and the observations before it tell.

        `observation` (12,) holds `LEGION_FIELDS`, in any frame whose z points up and whose x is that of the sim frame.
        What is not finite solves nothing.
        """
        hand, thing, _, goal = np.asarray(observation, float).reshape(4, 3)
        distance = self._rule.distance(hand, thing, goal)
        self._held = self._held + 1 if distance <= self._rule.radius_m - MARGIN_M else 0
        return self._held >= self._hold_steps
