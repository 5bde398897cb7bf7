"""A stand-in for lbr_fri_ros2_stack's mock hardware, with camera and gripper: joint states at 100 Hz echo commands."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from legion_ros import topics
from legion_ros.vector_messages import named_vector, pose_message
from legion_sim2real.robot import load_profile

HOME_RAD = (0.0, 0.6, 0.0, -1.5, 0.0, 1.0, 0.0)
OBJECT_M, GOAL_M = (0.55, 0.0, 0.05), (0.55, 0.2, 0.25)


class EchoDriver:
    """A context manager; `positions` (7,) rad is where the arm is."""

    def __init__(self) -> None:
        profile = load_profile("lbr")
        self._names = profile.joint_names
        self.positions = HOME_RAD
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._driver = rclpy.create_node("joint_state_broadcaster", context=self._context)
        self._controller = rclpy.create_node("forward_position_controller", namespace="lbr", context=self._context)
        self._joints = self._driver.create_publisher(JointState, profile.topics.joint_states, 1)
        self._gripper = self._driver.create_publisher(JointState, profile.gripper.state, 1)
        self._poses = {
            self._driver.create_publisher(PoseStamped, topic, 1): place
            for topic, place in ((topics.OBJECT, OBJECT_M), (topics.GOAL, GOAL_M))
        }
        self._controller.create_subscription(Float64MultiArray, f"/{profile.topics.position_command}", self._obey, 1)
        self._driver.create_timer(0.01, self._publish_joints)
        self._driver.create_timer(1 / 30, self._publish_scene)
        self._executor = SingleThreadedExecutor(context=self._context)
        for node in (self._driver, self._controller):
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin)

    def _obey(self, message: Float64MultiArray) -> None:
        self.positions = tuple(message.data)

    def _publish_joints(self) -> None:
        self._joints.publish(named_vector(self._now(), self._names[::-1], self.positions[::-1]))

    def _publish_scene(self) -> None:
        self._gripper.publish(named_vector(self._now(), ("gripper_opening",), (1.0,)))
        for publisher, place in self._poses.items():
            publisher.publish(pose_message(self._now(), "lbr_link_0", place))

    def _now(self) -> Time:
        return self._driver.get_clock().now().to_msg()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def __enter__(self) -> EchoDriver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.try_shutdown()
        self._thread.join()
