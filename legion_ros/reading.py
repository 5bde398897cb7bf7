"""What the robot's messages say, whoever brought them: nodes take them from ROS, a replay from a recording.

Nothing here needs ROS: a message is any object with the fields of its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from legion_core.errors import CalibrationError, SpaceError
from legion_core.spaces import Vector
from legion_sim2real.camera import CameraCalibration, rotation_from_quaternion
from legion_sim2real.hand_input import HandInput
from legion_sim2real.kinematics import Pose
from legion_sim2real.robot import Gripper, RobotProfile

if TYPE_CHECKING:
    from geometry_msgs.msg import PoseStamped
    from sensor_msgs.msg import JointState


def position_of(message: PoseStamped) -> Vector:
    """The position (3,) of a pose message, metres."""
    place = message.pose.position
    return np.array((place.x, place.y, place.z))


def rotation_of(message: PoseStamped) -> Vector:
    """The orientation (3, 3) of a pose message.

    Raises:
        SpaceError: its quaternion is not of length 1.
    """
    turn = message.pose.orientation
    try:
        return rotation_from_quaternion(np.array((turn.x, turn.y, turn.z, turn.w)))
    except CalibrationError as error:
        raise SpaceError(f"orientation: {error}") from error


class NamedReader:
    """Reads the values of fixed `names` from named vectors whose names come in any order, extra ones allowed."""

    def __init__(self, names: Sequence[str], what: str, finite: bool = True) -> None:
        self._names = tuple(names)
        self._finite = finite
        self._what = what
        self._seen: list[str] | None = None
        self._index = np.arange(len(self._names))

    def read(self, names: Sequence[str], values: Sequence[float]) -> Vector:
        """The values in the order of the reader's names.

        Raises:
            SpaceError: a name is absent, a value is absent or, where that is asked for, not a finite number.
        """
        if names != self._seen:
            self._index = self._find(list(names))
            self._seen = list(names)
        if len(values) != len(names):
            raise SpaceError(f"{self._what}: {len(names)} names but {len(values)} values")
        chosen = np.array(values)[self._index]
        if self._finite and not np.isfinite(chosen).all():
            bad = [name for name, value in zip(self._names, chosen, strict=True) if not np.isfinite(value)]
            raise SpaceError(f"{self._what}: not a finite number: {', '.join(bad)}")
        return chosen

    def of(self, message: JointState) -> Vector:
        """The values of a named vector; raises as `read`."""
        return self.read(message.name, message.position)

    def _find(self, names: list[str]) -> npt.NDArray[np.intp]:
        missing = [name for name in self._names if name not in names]
        if missing:
            raise SpaceError(f"{self._what} lacks {', '.join(missing)}; it has: {', '.join(names) or 'no names'}")
        return np.array([names.index(name) for name in self._names], np.intp)


class GripperReader:
    """Reads the opening of a gripper, 0 closed to 1 open, from the positions of its joints."""

    def __init__(self, gripper: Gripper) -> None:
        self._gripper = gripper
        self._joints = NamedReader(gripper.joints, gripper.state)

    def opening(self, message: JointState) -> Vector:
        """The opening (1,); raises as `NamedReader.of`."""
        return np.array((self._gripper.opening(self._joints.of(message)),))


class PoseReader:
    """Poses in the world frame. They come in that of the robot's base, or of its camera where the profile has one; a
    header that names no frame means the base.

    Methods raise SpaceError for another frame, a number that is not finite and a quaternion that is no rotation.
    """

    def __init__(self, profile: RobotProfile, topic: str) -> None:
        self._base, self._camera_frame, self._topic = profile.frames.base, profile.frames.camera, topic
        self._camera = profile.load_camera()

    def position(self, message: PoseStamped) -> Vector:
        """The position (3,) m."""
        position = position_of(message)
        if not np.isfinite(position).all():
            raise SpaceError(f"{self._topic}: position is not finite")
        camera = self._seen_by(message)
        return position if camera is None else camera.rotation @ position + camera.translation

    def pose(self, message: PoseStamped) -> Pose:
        """Position and orientation."""
        position, camera = self.position(message), self._seen_by(message)
        try:
            rotation = rotation_of(message)
        except SpaceError as error:
            raise SpaceError(f"{self._topic}: {error}") from error
        return Pose(position, rotation if camera is None else camera.rotation @ rotation)

    def _seen_by(self, message: PoseStamped) -> CameraCalibration | None:
        """The camera in whose frame a message is; None: it is in the world frame."""
        frame = message.header.frame_id
        if frame in ("", self._base):
            return None
        if self._camera is None or frame != self._camera_frame:
            allowed = ", ".join(name for name in (self._base, self._camera_frame) if name)
            raise SpaceError(f"{self._topic}: frame_id = {frame!r}; allowed: {allowed}")
        return self._camera


class RobotReader:
    """Reads joint positions from the messages of a robot's state topic: joint states, or poses of its hand."""

    def __init__(self, profile: RobotProfile) -> None:
        self._hand: HandInput | None = None
        if profile.input == "joint":
            self._named = NamedReader(profile.joint_names, profile.topics.joint_states)
        else:
            self._hand, self._poses = hand_input(profile), PoseReader(profile, profile.topics.hand_pose)

    def joints(self, message: JointState | PoseStamped) -> Vector:
        """Joint positions (7,) rad.

        Raises:
            SpaceError: a joint is absent or not finite, or the pose is none or out of reach.
        """
        if self._hand is None:
            return self._named.of(message)
        return self._hand.joints(self._poses.pose(message))

    def follow(self, joints: Vector) -> None:
        """Where only the hand is measured, its next joints are sought near these (7,) rad."""
        if self._hand is not None:
            self._hand.follow(joints)

    @property
    def began(self) -> Vector:
        """The joints (7,) rad that the last pose was solved from; empty where joints are measured."""
        return np.empty(0) if self._hand is None else self._hand.began


def hand_input(profile: RobotProfile) -> HandInput:
    """Joints for the poses of the hand that this robot measures or obeys."""
    return HandInput(profile.kinematics(), np.array(profile.sim2real.posture_rad))
