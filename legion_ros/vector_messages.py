"""Vectors as messages: named and stamped ones as JointState (`name`, `position`), plain ones as MultiArray."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from legion_core.errors import CalibrationError, SpaceError
from legion_core.spaces import Vector
from legion_sim2real.camera import rotation_from_quaternion


def doubles(values: npt.ArrayLike) -> array[float]:
    """`values` as array('d'), which message fields take over without looking at each number."""
    return array("d", np.ascontiguousarray(values, np.float64).tobytes())


def named_vector(stamp: Time, names: Sequence[str], values: npt.ArrayLike, frame: str = "") -> JointState:
    """A stamped, named vector."""
    message = JointState()
    message.header.stamp = stamp
    message.header.frame_id = frame
    message.name = list(names)
    message.position = doubles(values)
    return message


def float64_array(values: npt.ArrayLike) -> Float64MultiArray:
    """A Float64MultiArray of one dimension."""
    message = Float64MultiArray()
    message.data = doubles(values)
    return message


def float32_array(values: npt.ArrayLike) -> Float32MultiArray:
    """A Float32MultiArray of one dimension."""
    message = Float32MultiArray()
    message.data = array("f", np.ascontiguousarray(values, np.float32).tobytes())
    return message


def pose_message(
    stamp: Time, frame: str, position: Iterable[float], quaternion: Iterable[float] = (0.0, 0.0, 0.0, 1.0)
) -> PoseStamped:
    """A pose from a position (3,) in metres and a quaternion (4,) in the order x, y, z, w."""
    message = PoseStamped()
    message.header.stamp = stamp
    message.header.frame_id = frame
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = (float(value) for value in position)
    turn.x, turn.y, turn.z, turn.w = (float(value) for value in quaternion)
    return message


def trajectory_message(names: Sequence[str], positions: npt.ArrayLike, seconds: float) -> JointTrajectory:
    """A trajectory of one point that is to be reached in that time from now."""
    point = JointTrajectoryPoint(positions=doubles(positions))
    point.time_from_start.sec, point.time_from_start.nanosec = divmod(round(seconds * 1e9), 1_000_000_000)
    return JointTrajectory(joint_names=list(names), points=[point])


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
