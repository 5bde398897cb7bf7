"""How near the arm comes to itself and to the boxes of its cell, judged where it would come to rest."""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul, sub

import numpy as np

from legion_sim2real.collision import CollisionChecker
from legion_sim2real.interventions import Intervention
from legion_sim2real.kinematics import ArmKinematics
from legion_sim2real.limits import SafetyLimits

BEYOND_WRIST_M = 0.45
"""No point of the last link and of what it carries is farther from the last joint, and no link is thicker."""
SLOWEST = 0.1
"""Nearness slows the arm down to this share of its speed; then only the clearance itself stops it."""


class ProximityWatch:
    """Measures the gap (m) between what is nearest, beyond its clearance, no more often than the limits allow.

    Between two measurements the gap is the last one less what the joints have moved since, times the length of the arm
    beyond them: no point of the arm can have come nearer than that. `pace` is the share of the speed that the last
    measurement leaves to the arm.
    """

    def __init__(self, limits: SafetyLimits, kinematics: ArmKinematics, checker: CollisionChecker) -> None:
        self.pace = 1.0
        self._checker = checker
        self._clearances = limits.self_clearance_m, limits.obstacle_clearance_m
        self._slow = limits.slow_distance_m
        self._period = 1.0 / limits.collision_rate_hz - 1e-6
        self._reach = _reach(kinematics)
        self._at: list[float] = []
        self._gap, self._nearest = 0.0, Intervention.SELF_COLLISION
        self._time = -math.inf

    def start(self, joints: list[float], now_s: float) -> None:
        """The arm was found at `joints` (7,) rad: however near to something, it may come away from there."""
        self._at, self._time, self.pace = joints, now_s, 1.0
        self._gap, self._nearest = self._measure(joints)

    def objection(self, rest: list[float], now_s: float) -> Intervention | None:
        """What forbids that the arm comes to rest at `rest` (7,) rad: nothing does, where it comes away from it."""
        least = self._gap - sum(map(mul, self._reach, map(abs, map(sub, rest, self._at))))
        if least >= self._slow:
            self.pace = 1.0
            return None
        if 0.0 <= now_s - self._time < self._period:
            return None if least >= 0.0 else self._nearest
        gap, nearest = self._measure(rest)
        self._time = now_s
        nearer = gap < self._gap
        self.pace = min(max(gap / self._slow, SLOWEST), 1.0) if nearer else 1.0
        if nearer and gap < 0.0:
            return nearest
        self._at, self._gap, self._nearest = rest, gap, nearest
        return None

    def _measure(self, joints: list[float]) -> tuple[float, Intervention]:
        """The least distance beyond its clearance (m, negative inside it), and what it is the distance to."""
        of_self, of_boxes = self._checker.nearest_of_each(np.array(joints))
        gap = of_self.distance_m - self._clearances[0]
        if of_boxes is not None and of_boxes.distance_m - self._clearances[1] < gap:
            return of_boxes.distance_m - self._clearances[1], Intervention.OBSTACLE
        return gap, Intervention.SELF_COLLISION


def _reach(kinematics: ArmKinematics) -> list[float]:
    """How far (m) from each of the seven joints a point of the arm beyond it can be."""
    description = kinematics.description
    offsets = [float(np.linalg.norm(description.joint(name).xyz)) for name in description.arm_joints[1:]]
    return list(accumulate(reversed(offsets), initial=BEYOND_WRIST_M))[::-1]
