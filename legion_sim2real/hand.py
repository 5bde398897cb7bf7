"""Where the hand gets and how fast it gets while the arm brakes, against the limits of both."""

from __future__ import annotations

import math
from operator import sub

import numpy as np

from legion_core.spaces import Vector
from legion_sim2real.kinematics import ArmKinematics, travel
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.motion import JOINTS, Way

SLACK = 1.000001
"""Shares that exceed 1 by no more than this are rounding errors."""
NEARLY = 0.85
"""While it brakes, the hand may get faster than it is up to this share of its limits."""
ALMOST = 0.98
"""Nor may it be faster than this then, as its way to rest is looked at in some moments only."""
LINEAR_AND_ANGULAR = np.repeat(np.eye(2), 3, axis=0)
"""(6, 2): adds up the first three and the last three numbers of a twist."""
ONES = np.ones(JOINTS)


class HandLimits:
    """The limits of the hand: how fast it may be (m/s, rad/s), and the box and the table that it stays clear of (m).

    How fast it is, is a share: of the limit for moving or of that for turning, whichever is more.
    """

    def __init__(self, limits: SafetyLimits, kinematics: ArmKinematics) -> None:
        self._kinematics = kinematics
        self._max_speed, self._max_turn = limits.max_speed_m_s, limits.max_turn_rad_s
        self._walls = limits.workspace_low_m, limits.workspace_high_m
        self._floor = limits.table_height_m + limits.table_clearance_m
        self._overshoot = limits.overshoot_m
        self._reach = kinematics.reach(kinematics.tool_offset)
        self._levers = sum(self._reach)

    def share(self, twist: Vector) -> float:
        """The share at a `twist` (6,) of the hand."""
        x, y, z, a, b, c = twist.tolist()
        return max(math.hypot(x, y, z) / self._max_speed, math.hypot(a, b, c) / self._max_turn)

    def greatest_share(self, way: Way) -> float:
        """The greatest share in the moments of a way to rest."""
        return max(self._share_at(joints, velocity) for joints, velocity, _ in way.moments)

    def too_fast(self, way: Way) -> bool:
        """Whether the hand exceeds its limits where a way to rest begins, or almost does so farther on."""
        if self._surely_slow(way):
            return False
        first, *later = (self._share_at(joints, velocity) for joints, velocity, _ in way.moments)
        now = max(first, self._share_at(way.start, way.peak))
        return now > SLACK or max(later) > max(min(now, ALMOST), NEARLY)

    def excess(self, way: Way) -> float:
        """How far (m) outside box or table clearance the hand gets on a way to rest; negative inside.

        Where it comes to rest well inside, its way there is not looked at.
        """
        excess = self.excess_at(way.rest)
        if excess + travel(self._reach, way.start, way.rest) > self._overshoot:
            return max(excess, *(self.excess_at(joints) for joints, _, _ in way.moments[1:-1]))
        return excess

    def excess_at(self, joints: list[float]) -> float:
        """How far (m) outside the hand is at `joints` (7,) rad; negative inside."""
        hand, rotation = self._kinematics.forward(np.array(joints))
        x, y, z = hand.tolist()
        (back, right, bottom), (front, left, top) = self._walls
        tool = z + min(0.0, rotation.item(2, 0)) * self._kinematics.tool_length
        excess: float = max(back - x, x - front, right - y, y - left, bottom - z, z - top, self._floor - tool)
        return excess

    def _share_at(self, joints: list[float], velocity: list[float]) -> float:
        """The share at `joints` (7,) rad and `velocity` (7,) rad/s."""
        return self.share(self._kinematics.twist(np.array(joints), np.array(velocity)))

    def _surely_slow(self, way: Way) -> bool:
        """Whether bounds alone tell that the hand keeps its limits all the way to rest.

        The twist is J v with the Jacobian J where the way begins, and farther on (J' - J) v more. Between two moments v
        is at most `way.bend` off a straight line, on which |J v| is greatest at an end. No lever in J' - J is longer
        than the hand travels, and no axis longer than the joints turn.
        """
        velocities = np.array([velocity for _, velocity, _ in way.moments])
        twists = velocities.dot(self._kinematics.jacobian(np.array(way.start)).T)
        speeds, turns = (twists * twists).dot(LINEAR_AND_ANGULAR).T.tolist()
        rate = max(np.abs(velocities).dot(ONES).tolist()) + JOINTS * way.bend
        travelled = travel(self._reach, way.start, way.rest)
        if math.sqrt(max(speeds)) + self._levers * way.bend + travelled * rate > self._max_speed:
            return False
        turned = sum(map(abs, map(sub, way.rest, way.start)))
        slow: bool = math.sqrt(max(turns)) + JOINTS * way.bend + turned * rate <= self._max_turn
        return slow
