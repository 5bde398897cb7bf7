"""For robots that speak of their hand alone: the joints of a virtual arm that holds its hand there."""

from __future__ import annotations

import numpy as np

from legion_core.errors import SpaceError
from legion_core.spaces import Vector
from legion_sim2real.kinematics import ArmKinematics, Pose, damped_least_squares

LEAP_M, LEAP_RAD = 0.15, 0.5
"""A hand that is further away than this from where it was is found afresh: nobody knows the way it took."""
TOLERANCE = 1e-5
"""The hand is where it should be when no coordinate (m, rad) is further off than this."""
ITERATIONS = 60
MAX_STEP_RAD = 0.2
DAMPING_BELOW, MAX_DAMPING = 0.02, 0.02
"""Damping begins only close to a singularity: what is sought is a pose that an arm is in, so it is within reach."""
PULL = 0.02
"""Share of the way to the posture that the null space goes with each pose: a long way round winds no joint up."""


class HandInput:
    """Joint positions of the arm of `kinematics` from poses of its hand, by inverse kinematics.

    A pose is solved from the joints of the one before, or of `follow`, so that the arm moves on without changing its
    elbow; at first, and where the hand has leapt, from `posture` (7,) rad. The joints are those of a model: a real arm
    may hold its elbow elsewhere, and limits on joints are then limits on the model's. `began` (7,) rad are the joints
    that the last pose was solved from: with them `follow` makes the same of it again.
    """

    def __init__(self, kinematics: ArmKinematics, posture: Vector) -> None:
        self._kinematics = kinematics
        self._posture = np.asarray(posture, float)
        self._near = self.began = self._posture

    def follow(self, joints: Vector) -> None:
        """The next pose is solved from these `joints` (7,) rad: those that were commanded last."""
        self._near = joints

    def joints(self, hand: Pose) -> Vector:
        """Joint positions (7,) rad, within the limits of the description, that hold the hand at that pose.

        Raises:
            SpaceError: the pose is not finite, or out of reach of the arm.
        """
        if not (np.isfinite(hand.position).all() and np.isfinite(hand.rotation).all()):
            raise SpaceError("the hand's pose is not finite")
        self.began = self._near
        leapt = np.abs(self._error(hand, self._kinematics.forward(self._near)))
        starts = [] if leapt[:3].max() > LEAP_M or leapt[3:].max() > LEAP_RAD else [self._near]
        for start in (*starts, self._posture):
            found = self._solve(hand, start)
            if found is not None:
                self._near = found
                return found
        raise SpaceError("the hand's pose is out of the arm's reach")

    def _solve(self, hand: Pose, start: Vector) -> Vector | None:
        arm = self._kinematics
        q, pull = start, PULL * (self._posture - start)
        for _ in range(ITERATIONS):
            pose, jacobian = arm.forward_and_jacobian(q)
            error = self._error(hand, pose)
            if np.abs(error).max() < TOLERANCE:
                return q
            step = damped_least_squares(jacobian, error, pull, DAMPING_BELOW, MAX_DAMPING).velocity
            q = np.clip(q + step * min(1.0, MAX_STEP_RAD / np.abs(step).max()), arm.lower, arm.upper)
            pull = np.zeros_like(pull)
        return None

    def _error(self, hand: Pose, pose: Pose) -> Vector:
        """How far `pose` is from `hand`: position and rotation (6,), m and rad."""
        turn = self._kinematics.rotation_error(hand.rotation, pose.rotation)
        return np.concatenate((hand.position - pose.position, turn))
