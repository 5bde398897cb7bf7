"""Smooth motion of the joints on Ruckig: velocity, acceleration and position never jump, and jerk is bounded."""

from __future__ import annotations

from typing import NamedTuple

import ruckig

JOINTS = 7
SHARES = (0.08, 0.16, 0.24, 0.32, 0.4, 0.5, 0.6, 0.75)
"""Moments, as shares of the time to rest, at which the way there is looked at."""
HALFWAY = 0.3
"""The share of the time to rest in which a joint that brakes steadily covers half of its way."""
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

    def rest(self, motion: Motion) -> list[float]:
        """Where (7,) rad the joints come to rest when they brake from `motion` at once."""
        self._solve(STILL, motion, ruckig.Synchronization.No)
        position: list[float] = self._trajectory.at_time(self._trajectory.duration)[0]
        return position

    def halfway(self, motion: Motion) -> list[float]:
        """Where (7,) rad the joints are after about half of their way to rest."""
        self._solve(STILL, motion, ruckig.Synchronization.No)
        position: list[float] = self._trajectory.at_time(HALFWAY * self._trajectory.duration)[0]
        return position

    def way_to_rest(self, motion: Motion) -> list[Motion]:
        """Moments on the way of joints that brake from `motion` at once: when each comes to rest, and some between."""
        self._solve(STILL, motion, ruckig.Synchronization.No)
        times = [*self._trajectory.independent_min_durations, *(share * self._trajectory.duration for share in SHARES)]
        return [Motion(*self._trajectory.at_time(time)) for time in times]

    def peak(self, motion: Motion) -> list[float]:
        """The velocities (7,) rad/s at which the accelerations of `motion` can be back at zero at the earliest."""
        _, velocity, acceleration = motion
        twice = 2.0 * self.jerk_rad_s3
        return [v + a * abs(a) / twice for v, a in zip(velocity, acceleration, strict=True)]

    def _solve(self, velocity: list[float], motion: Motion, synchronization: ruckig.Synchronization) -> None:
        given = self._input
        given.current_position, given.current_velocity, given.current_acceleration = motion
        given.target_velocity = velocity
        given.synchronization = synchronization
        self._ruckig.calculate(given, self._trajectory)
