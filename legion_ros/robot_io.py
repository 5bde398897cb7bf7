"""Both ends of the robot's topics: what its profile says of messages, units and frames is known here alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from legion_core.errors import SpaceError
from legion_core.spaces import Vector
from legion_ros.qos import command_publisher, input_subscription, own_subscription
from legion_ros.reading import GripperReader, NamedReader, PoseReader, RobotReader, hand_input
from legion_ros.stamps import to_ns
from legion_ros.vector_messages import float64_array, pose_message, trajectory_message
from legion_sim2real.camera import quaternion_from_rotation
from legion_sim2real.hand_input import HandInput
from legion_sim2real.robot import CommandInterface, RobotProfile

__all__ = ["CommandInput", "CommandOutput", "PoseReader", "RobotInput", "gripper_input", "pose_input"]

Put = Callable[[int, Vector], None]
"""What takes a measurement: stamp (ns) and value."""
Complain = Callable[[str], None]
"""What takes the reason why a message is not used."""

COMMAND_KINDS: dict[CommandInterface, Any] = {
    "forward_position": Float64MultiArray,
    "joint_trajectory": JointTrajectory,
    "cartesian": PoseStamped,
}
"""The messages of the command interfaces."""


class RobotInput:
    """The joint positions (7,) rad of each message of the robot, whether it speaks of its joints or of its hand."""

    def __init__(self, node: Node, profile: RobotProfile, put: Put, complain: Complain) -> None:
        self._node = node
        self.reader = RobotReader(profile)
        kind = JointState if profile.input == "joint" else PoseStamped
        self._subscription = _listen(node, profile, kind, profile.state_topic, self.reader.joints, put, complain)

    def follow(self, joints: Vector) -> None:
        """These joints (7,) were commanded: where only the hand is measured, its joints are sought near them."""
        self.reader.follow(joints)

    def destroy(self) -> None:
        """Listen no longer."""
        self._node.destroy_subscription(self._subscription)


def gripper_input(node: Node, profile: RobotProfile, put: Put, complain: Complain) -> Subscription:
    """The gripper's opening (1,), 0 closed to 1 open."""
    gripper = profile.gripper
    return _listen(node, profile, JointState, gripper.state, GripperReader(gripper).opening, put, complain)


def pose_input(node: Node, profile: RobotProfile, topic: str, put: Put, complain: Complain) -> Subscription:
    """Positions (3,) m, world frame, of a topic of poses."""
    return _listen(node, profile, PoseStamped, topic, PoseReader(profile, topic).position, put, complain)


class CommandOutput:
    """Joint commands as the messages that the robot takes, and commands of its gripper."""

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        self._node, self._profile = node, profile
        self._message = {
            "forward_position": float64_array,
            "joint_trajectory": self._trajectory,
            "cartesian": self._pose,
        }[profile.command_interface]
        self._kinematics = profile.kinematics() if profile.command_interface == "cartesian" else None
        self._publishers = [
            command_publisher(node, profile, COMMAND_KINDS[profile.command_interface], profile.command_topic),
            command_publisher(node, profile, Float64MultiArray, profile.gripper.command),
        ]
        self._robot, self._gripper = self._publishers

    def send(self, joints: Vector, gripper: float | None) -> None:
        """Send joint positions (7,) rad, then the gripper command, -1 open to +1 closed, where there is one."""
        self._robot.publish(self._message(joints))
        if gripper is not None:
            self._gripper.publish(float64_array(self._profile.gripper.commanded(gripper)))

    def wait_heard(self, timeout_s: float) -> None:
        """Until whoever listens has what was sent, so long at most: what is under way is lost when a process ends."""
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=timeout_s))

    def destroy(self) -> None:
        """Speak no longer."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def _trajectory(self, joints: Vector) -> JointTrajectory:
        return trajectory_message(self._profile.joint_names, joints, 1.0 / self._profile.command_rate_hz)

    def _pose(self, joints: Vector) -> PoseStamped:
        """Where those joints hold the hand, so that every limit of theirs is one of the pose."""
        assert self._kinematics is not None
        hand = self._kinematics.forward(joints)
        stamp = self._node.get_clock().now().to_msg()
        return pose_message(stamp, self._profile.frames.base, hand.position, quaternion_from_rotation(hand.rotation))


class CommandInput:
    """The other end of a `CommandOutput`, for a simulated robot: joint positions (7,) rad and gripper commands."""

    def __init__(
        self,
        node: Node,
        profile: RobotProfile,
        on_joints: Callable[[Vector], None],
        on_gripper: Callable[[float], None],
        complain: Complain,
    ) -> None:
        self._profile = profile
        gripper = profile.gripper
        self._named = NamedReader(profile.joint_names, "joint command")
        self._hand: HandInput | None = None
        if profile.command_interface == "cartesian":
            self._hand, self._poses = hand_input(profile), PoseReader(profile, profile.command_topic)
        read = {
            "forward_position": self._positions,
            "joint_trajectory": self._trajectory,
            "cartesian": self._pose,
        }[profile.command_interface]
        own_subscription(
            node,
            COMMAND_KINDS[profile.command_interface],
            profile.command_topic,
            _reading(read, lambda _, joints: on_joints(joints), complain),
        )
        own_subscription(
            node,
            Float64MultiArray,
            gripper.command,
            _reading(self._gripper, lambda _, command: on_gripper(gripper.wanted(command)), complain),
        )

    def restart(self, joints: Vector) -> None:
        """The robot stands at these `joints` (7,) now."""
        if self._hand is not None:
            self._hand.follow(joints)

    def _positions(self, message: Float64MultiArray) -> Vector:
        return _numbers(message, len(self._profile.joint_names), "joint command")

    def _trajectory(self, message: JointTrajectory) -> Vector:
        if not message.points:
            raise SpaceError("joint command without a point")
        return self._named.read(message.joint_names, message.points[-1].positions)

    def _pose(self, message: PoseStamped) -> Vector:
        assert self._hand is not None
        return self._hand.joints(self._poses.pose(message))

    def _gripper(self, message: Float64MultiArray) -> Vector:
        gripper = self._profile.gripper
        return _numbers(message, len(gripper.command_open), gripper.command)


def _hand_input(profile: RobotProfile) -> HandInput:
    return HandInput(profile.kinematics(), np.array(profile.sim2real.posture_rad))


def _numbers(message: Float64MultiArray, count: int, what: str) -> Vector:
    values = np.array(message.data)
    if len(values) != count or not np.isfinite(values).all():
        raise SpaceError(f"{what} of {len(values)} numbers; expected {count}, all finite")
    return values


def _listen(
    node: Node,
    profile: RobotProfile,
    kind: Any,
    topic: str,
    read: Callable[[Any], Vector],
    put: Put,
    complain: Complain,
) -> Subscription:
    """A subscription whose messages are read and put with their stamps."""

    def stamped(message: Any, value: Vector) -> None:
        put(to_ns(message.header.stamp), value)

    return input_subscription(node, profile, kind, topic, _reading(read, stamped, complain))


def _reading(
    read: Callable[[Any], Vector], use: Callable[[Any, Vector], None], complain: Complain
) -> Callable[[Any], None]:
    """A callback that uses what it reads of a message, or says why it cannot."""

    def on_message(message: Any) -> None:
        try:
            value = read(message)
        except SpaceError as error:
            complain(str(error))
        else:
            use(message, value)

    return on_message
