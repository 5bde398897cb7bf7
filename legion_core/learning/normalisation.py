"""The fixed scale of the observation: a lifelong learner cannot wait for its last task to measure one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legion_core.spaces import Float32

CENTRE_M = {"x": 0.0, "y": 0.65, "z": 0.12}
"""Of the space above the table, simulation frame."""
SCALE = 0.12
"""Metres: about the standard deviation of hand, object and goal over the tasks."""


def normalisation(fields: Sequence[str]) -> tuple[Float32, Float32]:
    """Mean and scale (fields,) of the named observation fields."""
    pairs = [_pair(name) for name in fields]
    mean, scale = np.array(pairs, np.float32).T
    return mean, scale


def _pair(name: str) -> tuple[float, float]:
    thing, _, axis = name.rpartition("_")
    if thing in ("hand", "object", "goal") and axis in CENTRE_M:
        return CENTRE_M[axis], SCALE
    if thing == "object2" and axis in CENTRE_M:
        return 0.0, 0.5  # zero, which means absent, stays zero
    if name == "gripper_opening":
        return 0.6, 0.4
    return 0.0, 1.0
