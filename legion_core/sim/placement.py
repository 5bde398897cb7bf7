"""Where the robot's base stands in Meta-World's frame.

`world` is the robot's base frame (x forward, z up); `sim` is Meta-World's (y away from the operator, z up,
table top at z = 0). With the tool pointing down the wrist must stay 0.40 to 0.80 m from the shoulder; this
pose keeps 0.99 to 1.0 of what the experts visit inside that shell (`config/calibration_mujoco.yaml` tells it
to the robot side).
"""

from __future__ import annotations

import math

import numpy as np

from legion_core.spaces import Vector

BASE_POSITION_M = (0.50, 0.34, 0.25)
"""Origin of the robot's base in the sim frame. The height matters: from lower down the door's path is too near."""

BASE_YAW_RAD = math.radians(142.0)
"""Turn of the robot's base about z in the sim frame."""

BASE_QUATERNION = (math.cos(BASE_YAW_RAD / 2), 0.0, 0.0, math.sin(BASE_YAW_RAD / 2))
"""The same turn as a quaternion (w, x, y, z)."""

_COS, _SIN = math.cos(BASE_YAW_RAD), math.sin(BASE_YAW_RAD)
BASE_ROTATION: Vector = np.array([[_COS, -_SIN, 0.0], [_SIN, _COS, 0.0], [0.0, 0.0, 1.0]])
"""Rotation matrix of the base: a direction in world becomes one in sim."""


def to_world(point: Vector) -> Vector:
    """A point (3,) in the sim frame, expressed in the world frame."""
    world: Vector = (point - np.array(BASE_POSITION_M)) @ BASE_ROTATION
    return world


def to_sim(point: Vector) -> Vector:
    """A point (3,) in the world frame, expressed in the sim frame."""
    sim: Vector = BASE_ROTATION @ point + np.array(BASE_POSITION_M)
    return sim
