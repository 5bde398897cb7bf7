"""watchdog_node: watches the arm from outside the control loop, and keeps the emergency stop over the death of others.

It engages the emergency stop when the arm is faster than its limits, when its commands cease in mid-motion, are not
finite or come from more than one publisher. What it engaged or heard engaged it says again to every node that starts
later, until sim2real_node, whose service alone clears the stop, says that it is cleared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from legion_core.errors import SpaceError
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import ControlPathSettings, run
from legion_ros.profiles import profile_of
from legion_ros.qos import LATCHED, Inbox, own_publisher
from legion_ros.stamps import to_seconds
from legion_ros.vector_messages import NamedReader, position_of
from legion_sim2real.robot import COMMAND_INTERFACES, RobotProfile
from legion_sim2real.watchdog import Watchdog

NAME = "watchdog_node"
LOOK_S = 0.04
DEPTH = 50
"""It looks so often at what has come, at most at so many messages of a topic: to look sooner would tell no more.
A stop that was cleared before it has looked is not said again, and so not engaged again."""
GRAPH_PERIOD_S = 0.5
"""How often the publishers of commands are counted."""
GHOST_S = 30.0
"""A killed process stays in the graph until its lease of 20 s ends; who shares its name for longer is another."""

Read = Callable[[Any], Sequence[float]]
Stream = tuple[Any, str, Read]
"""Type, topic and how the numbers are read from a message."""

CONTRADICTION_S = 0.2
"""So soon sim2real_node contradicts who denies a stop."""
REPEAT_S = 0.2
"""A stop is said so often until another node says it too: a process that hung may have missed it, and the middleware
sends what was lost again after seconds only (3 s in Fast DDS), when the operator may have cleared the stop already."""


@dataclass(frozen=True)
class WatchdogSettings(ControlPathSettings):
    """Parameters of the watchdog node; limits are in the profile's safety file."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    command_interface: str = parameter(
        "", "Command interface that is used; empty: as the profile says", choices=("", *COMMAND_INTERFACES)
    )


class WatchdogNode(Node):
    """Nothing waits for it, and it can do nothing but stop the arm."""

    def __init__(self) -> None:
        super().__init__(NAME)
        profile = profile_of(declare(self, WatchdogSettings))
        self._watchdog = _watchdog(profile)
        self._reason = ""
        self._engaged = self._told = self._confirmed = False
        self._echoes = 0  # of its own word of a stop, which it hears like that of others
        self._cleared_at: float | None = None
        self._crowded_since: float | None = None
        self._diagnostics = Diagnostics(self, self._report)
        self._publisher = own_publisher(self, Bool, topics.E_STOP, LATCHED)
        self._publisher.publish(Bool(data=False))  # whoever starts now waits for word of a stop
        reliable, latched = LATCHED.reliability, LATCHED.durability
        self._kept = Inbox(self, Bool, topics.E_STOP, 1, reliability=reliable, durability=latched)
        self._said = Inbox(self, Bool, topics.E_STOP, DEPTH, reliability=reliable)  # now, even if not latched
        kind, topic, self._read_measured = _measured(profile)
        self._measured = Inbox(self, kind, topic, DEPTH)
        kind, self._commands, self._read_commanded = _commanded(profile)
        self._commanded = Inbox(self, kind, self._commands, DEPTH)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_S, self._look, clock=steady)
        self.create_timer(GRAPH_PERIOD_S, self._count_publishers, clock=steady)
        self.create_timer(REPEAT_S, self._insist, clock=steady)

    # what it watches

    def _look(self) -> None:
        self._listen()
        for message in self._measured.take():
            self._measure(message)
        for message in self._commanded.take():
            self._alarm(self._watchdog.command(self._read_commanded(message)))
        self._alarm(self._watchdog.ceased())
        self._believe()
        if self._engaged != self._told and self._cleared_at is None:
            self._tell()

    def _measure(self, message: Any) -> None:
        try:
            values = self._read_measured(message)
        except SpaceError as error:
            self._diagnostics.error(str(error), Problem.BAD_INPUT)
            return
        self._alarm(self._watchdog.measure(to_seconds(message.header.stamp), values))

    def _count_publishers(self) -> None:
        """Several names are several sources; one name twice may be a process that was started anew."""
        publishers = self.get_publishers_info_by_topic(self._commands)
        names = sorted({f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in publishers})
        now = time.monotonic()
        if len(publishers) < 2:
            self._crowded_since = None
        elif self._crowded_since is None:
            self._crowded_since = now
        several = len(names) > 1 or (self._crowded_since is not None and now - self._crowded_since > GHOST_S)
        if several and self._watchdog.commanded:
            self._alarm(f"{len(publishers)} publishers of {self._commands}: {', '.join(names)}")

    # the stop

    def _alarm(self, reason: str | None) -> None:
        if reason is None or (self._engaged and self._cleared_at is None):
            return
        self._diagnostics.error(reason, Problem.ALARM)
        self._reason = reason
        self._engaged, self._confirmed, self._cleared_at = True, False, None
        self._tell()

    def _listen(self) -> None:
        """What was said of a stop since the last look, and before this node came."""
        if any(message.data for message in self._kept.take()) and not self._engaged:
            self._hear(True)
        for message in self._said.take():
            if message.data and self._echoes:
                self._echoes -= 1
            else:
                self._hear(message.data)

    def _hear(self, engaged: bool) -> None:
        """Another node says that a stop is engaged, or anybody that it is cleared."""
        if not engaged:
            self._cleared_at = self._cleared_at or time.monotonic()
            return
        self._confirmed, self._cleared_at = True, None
        if not self._engaged:
            self._engaged, self._reason = True, "engaged by others"

    def _believe(self) -> None:
        """Anybody can say that the stop is cleared, this node too: what sim2real_node does not contradict is true."""
        if self._cleared_at is not None and time.monotonic() - self._cleared_at > CONTRADICTION_S:
            self._engaged, self._echoes, self._cleared_at = False, 0, None

    def _tell(self) -> None:
        """Say what is true from now on, and keep it for who comes later."""
        self._told = self._engaged
        self._echoes += self._engaged
        self._publisher.publish(Bool(data=self._engaged))
        self._watchdog.forget()
        self.get_logger().warning(f"emergency stop: {self._reason}" if self._engaged else "emergency stop cleared")

    def _insist(self) -> None:
        """Say the stop again while no other node has said it."""
        if self._engaged and not self._confirmed and self._cleared_at is None:
            self._echoes += 1
            self._publisher.publish(Bool(data=True))

    def _report(self) -> tuple[str, dict[str, object]]:
        values = {"e_stop": self._engaged, "reason": self._reason if self._engaged else "none"}
        return f"e-stop: {self._reason}" if self._engaged else "watching", values


def _watchdog(profile: RobotProfile) -> Watchdog:
    limits = profile.load_safety()
    fastest = [limits.max_speed_m_s] * 3
    if profile.input == "joint":
        joints = map(profile.description().joint, profile.joint_names)
        fastest = [limits.joint_velocity_scale * joint.velocity for joint in joints]
    return Watchdog(fastest)


def _measured(profile: RobotProfile) -> Stream:
    if profile.input == "cartesian":
        return PoseStamped, profile.topics.hand_pose, lambda message: position_of(message).tolist()
    joints = NamedReader(profile.joint_names, profile.topics.joint_states)
    return JointState, profile.topics.joint_states, lambda message: joints.of(message).tolist()


def _commanded(profile: RobotProfile) -> Stream:
    streams: dict[str, tuple[Any, Read]] = {
        "forward_position": (Float64MultiArray, lambda message: message.data),
        "joint_trajectory": (JointTrajectory, _last_point),
        "cartesian": (PoseStamped, lambda message: position_of(message).tolist()),
    }
    kind, read = streams[profile.command_interface]
    return kind, profile.command_topic, read


def _last_point(message: JointTrajectory) -> Sequence[float]:
    return message.points[-1].positions if message.points else ()


def main() -> None:
    """Entry point of the executable."""
    run(NAME, WatchdogNode)


if __name__ == "__main__":
    main()
