"""How near the arm comes to itself and to the boxes of its cell, judged where it would come to rest."""

from __future__ import annotations

import math

import numpy as np

from legion_sim2real.collision import CollisionChecker
from legion_sim2real.interventions import Intervention
from legion_sim2real.kinematics import ArmKinematics, travel
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.motion import JointMotion, Motion

LONG_WAY_M = 0.02
"""A way to rest on which no point of the arm moves farther is straight to a millimetre or two."""
BEYOND_WRIST_M = 0.45
"""No point of the last link and of what it carries is farther from the last joint, and no link is thicker."""
KINDS = Intervention.SELF_COLLISION, Intervention.OBSTACLE
SLOWEST = 0.1
"""Nearness slows the arm down to this share of its speed; then only the clearance itself stops it."""


class ProximityWatch:
    """Measures the gaps (m) to what is nearest, beyond the clearance, no more often than the limits allow.

    There are two, of the arm to itself and to the boxes. Between two measurements a gap is the last one less what the
    joints have moved since, times the length of the arm beyond them: no point of the arm can have come nearer than
    that. `pace` is the share of the speed that the last measurement leaves to the arm.
    """

    def __init__(
        self, limits: SafetyLimits, kinematics: ArmKinematics, checker: CollisionChecker, braking: JointMotion
    ) -> None:
        self.pace = 1.0
        self._checker, self._braking = checker, braking
        self._clearances = limits.self_clearance_m, limits.obstacle_clearance_m
        self._slow = limits.slow_distance_m
        self._period = 1.0 / limits.collision_rate_hz - 1e-6
        self._reach = kinematics.reach(BEYOND_WRIST_M)
        self._at: list[float] = []
        self._gaps = [0.0, 0.0]
        self._time = -math.inf

    def start(self, joints: list[float], now_s: float) -> None:
        """The arm was found at `joints` (7,) rad: however near to something, it may come away from there."""
        self._at, self._time, self.pace = joints, now_s, 1.0
        self._gaps = self._measure(joints)

    def objection(self, motion: Motion, rest: list[float], now_s: float) -> Intervention | None:
        """What forbids that the arm brakes from `motion` and comes to rest at `rest` (7,) rad.

        Nothing does where it comes away from what it is too near to.
        """
        least = min(self._gaps) - travel(self._reach, self._at, rest)
        if least >= self._slow:
            self.pace = 1.0
            return None
        if 0.0 <= now_s - self._time < self._period:
            return None if least >= 0.0 else KINDS[self._gaps.index(min(self._gaps))]
        self._time, self.pace = now_s, 1.0
        gaps = on_the_way = self._measure(rest)
        if travel(self._reach, motion.position, rest) > max(LONG_WAY_M, min(gaps)):
            on_the_way = list(map(min, gaps, self._measure(self._braking.halfway(motion))))
        for kind, gap, was in zip(KINDS, on_the_way, self._gaps, strict=True):
            if gap < was:
                self.pace = min(self.pace, max(gap / self._slow, SLOWEST))
                if gap < 0.0:
                    return kind
        self._at, self._gaps = rest, gaps
        return None

    def _measure(self, joints: list[float]) -> list[float]:
        """The least distances beyond the clearances (m, negative inside them): of the arm to itself, and to boxes."""
        of_self, of_boxes = self._checker.nearest_of_each(np.array(joints))
        to_boxes = math.inf if of_boxes is None else of_boxes.distance_m - self._clearances[1]
        return [of_self.distance_m - self._clearances[0], to_boxes]
