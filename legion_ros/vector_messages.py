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

from legion_ros.reading import NamedReader, position_of, rotation_of

__all__ = ["NamedReader", "doubles", "float32_array", "float64_array", "named_vector", "pose_message"]
__all__ += ["position_of", "rotation_of", "trajectory_message"]


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
