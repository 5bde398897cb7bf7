"""A robot as it is simulated: what it is, and where it stands in the simulation frame of Meta-World.

`world` is the robot's base frame (x forward, z up); `sim` is Meta-World's (y away from the operator, z up, table top at
z = 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from legion_core.description import RobotDescription
from legion_core.spaces import Vector


@dataclass(frozen=True)
class Embodiment:
    """A robot whose link `hand` the policy moves, and whose upright base stands at `base_position_m`, turned by
    `base_yaw_rad` about z, both in the sim frame."""

    description: RobotDescription
    hand: str
    base_position_m: tuple[float, float, float]
    base_yaw_rad: float

    @cached_property
    def base_rotation(self) -> Vector:
        """The turn as a matrix (3, 3): a direction in world becomes one in sim."""
        cos, sin = math.cos(self.base_yaw_rad), math.sin(self.base_yaw_rad)
        return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])

    @property
    def base_quaternion(self) -> tuple[float, float, float, float]:
        """The same turn as a quaternion (w, x, y, z)."""
        return (math.cos(self.base_yaw_rad / 2), 0.0, 0.0, math.sin(self.base_yaw_rad / 2))

    def to_world(self, point: Vector) -> Vector:
        """A point (3,) in the sim frame, expressed in the world frame."""
        world: Vector = (point - np.array(self.base_position_m)) @ self.base_rotation
        return world

    def to_sim(self, point: Vector) -> Vector:
        """A point (3,) in the world frame, expressed in the sim frame."""
        sim: Vector = self.base_rotation @ point + np.array(self.base_position_m)
        return sim
