"""Smooth motion of the joints on Ruckig: velocity, acceleration and position never jump, and jerk is bounded."""

from __future__ import annotations

from typing import NamedTuple

import ruckig

JOINTS = 7
PIECES = 6
"""A way to rest is looked at in the moments that part it into so many pieces of equal time."""
STILL = [0.0] * JOINTS
"""No velocity; to be shared, so nobody may write to it."""


class Motion(NamedTuple):
    """Where seven joints are (rad) and how they move (rad/s, rad/s2)."""

    position: list[float]
    velocity: list[float]
    acceleration: list[float]

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves."""
        return not (any(self.velocity) or any(self.acceleration))


class Way(NamedTuple):
    """How joints come to rest: `moments` at equal times, from where they begin to brake to where they rest.

    Between two moments no velocity is farther than `bend` (rad/s) from the straight line between those at the two.
    """

    moments: list[tuple[list[float], list[float], list[float]]]
    """Positions (rad), velocities (rad/s) and accelerations (rad/s2), (7,) each."""
    bend: float
    jerk_rad_s3: float

    @property
    def start(self) -> list[float]:
        """Where (7,) rad the joints begin to brake."""
        return self.moments[0][0]

    @property
    def rest(self) -> list[float]:
        """Where (7,) rad the joints come to rest."""
        return self.moments[-1][0]

    @property
    def halfway(self) -> list[float]:
        """Where (7,) rad they are after a third of the time, in which they cover more than half of the way."""
        return self.moments[PIECES // 3][0]

    @property
    def peak(self) -> list[float]:
        """The velocities (7,) rad/s at which the accelerations at the start can be back at zero at the earliest."""
        _, velocity, acceleration = self.moments[0]
        return [v + a * abs(a) / (2.0 * self.jerk_rad_s3) for v, a in zip(velocity, acceleration, strict=True)]


def standstill(position: list[float]) -> Motion:
    """Joints at rest at `position` (7,) rad."""
    return Motion(position, STILL, STILL)


class JointMotion:
    """Motion within `acceleration_rad_s2` and `jerk_rad_s3`, as quickly as they allow."""

    def __init__(self, acceleration_rad_s2: float, jerk_rad_s3: float) -> None:
        self.acceleration_rad_s2 = acceleration_rad_s2
        self.jerk_rad_s3 = jerk_rad_s3
        self._ruckig = ruckig.Ruckig(JOINTS)
        self._trajectory = ruckig.Trajectory(JOINTS)
        self._input = ruckig.InputParameter(JOINTS)
        self._input.control_interface = ruckig.ControlInterface.Velocity
        self._input.max_acceleration = [acceleration_rad_s2] * JOINTS
        self._input.max_jerk = [jerk_rad_s3] * JOINTS

    def towards(self, velocity: list[float], motion: Motion, period: float) -> Motion:
        """`motion` after `period` (s) on the way to a steady `velocity` (7,) rad/s, which all joints reach together.

        Together, because the hand would leave its way if some of them were there before the others.
        """
        try:
            self._solve(velocity, motion, ruckig.Synchronization.Time)
        except ruckig.RuckigError:  # rounding errors can keep it from finding a common time; each joint's own it finds
            self._solve(velocity, motion, ruckig.Synchronization.No)
        return Motion(*self._trajectory.at_time(period))

    def brake(self, motion: Motion, period: float) -> Motion:
        """`motion` after `period` (s) of braking, each joint on its own."""
        self._solve(STILL, motion, ruckig.Synchronization.No)
        if period >= self._trajectory.duration:
            return standstill(self._trajectory.at_time(period)[0])
        return Motion(*self._trajectory.at_time(period))

    def way_to_rest(self, motion: Motion) -> Way:
        """The way of joints that brake from `motion` at once, each on its own."""
        self._solve(STILL, motion, ruckig.Synchronization.No)
        interval = self._trajectory.duration / PIECES
        moments = [self._trajectory.at_time(i * interval) for i in range(PIECES + 1)]
        bend = min(self.jerk_rad_s3 * interval / 8.0, self.acceleration_rad_s2 / 2.0) * interval
        return Way(moments, bend, self.jerk_rad_s3)

    def _solve(self, velocity: list[float], motion: Motion, synchronization: ruckig.Synchronization) -> None:
        given = self._input
        given.current_position, given.current_velocity, given.current_acceleration = motion
        given.target_velocity = velocity
        given.synchronization = synchronization
        self._ruckig.calculate(given, self._trajectory)
