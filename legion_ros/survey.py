"""A running graph seen from outside: who speaks on the robot's topics, how often, how late, and what was heard last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from legion_core.spaces import Vector
from legion_ros import topics
from legion_ros.client import LegionClient, NodeStatus
from legion_ros.controllers import ControllerPresence
from legion_ros.qos import EVENT, LATCHED
from legion_ros.robot_io import RobotInput, gripper_input, pose_input
from legion_ros.stamps import NS_PER_S
from legion_sim2real.robot import RobotProfile

DISCOVERY_S = 1.0
"""Whoever speaks has been found after this time."""


@dataclass
class Stream:
    """What a topic brought: arrivals and stamps (s, this node's clock), the last value, and why others were refused."""

    topic: str
    publishers: tuple[str, ...] = ()
    arrivals_s: list[float] = field(default_factory=list)
    stamps_s: list[float] = field(default_factory=list)
    last: Vector | None = None
    complaints: list[str] = field(default_factory=list)

    @property
    def rate_hz(self) -> float:
        """Messages a second between the first and the last; 0 for fewer than two."""
        if len(self.arrivals_s) < 2:
            return 0.0
        return (len(self.arrivals_s) - 1) / max(self.arrivals_s[-1] - self.arrivals_s[0], 1e-9)

    @property
    def longest_gap_s(self) -> float:
        """The longest time without a message between the first and the last."""
        return float(np.max(np.diff(self.arrivals_s), initial=0.0))

    @property
    def ages_s(self) -> tuple[float, float]:
        """The least age at arrival by stamp and the median one."""
        ages = np.subtract(self.arrivals_s, self.stamps_s)
        return float(ages.min()), float(np.median(ages))

    def ears(self, node: Node) -> tuple[Callable[[int, Vector], None], Callable[[str], None]]:
        """What takes a message that was read, and what takes the reason why one was not."""
        return partial(self._hear, node), self._complain

    def _hear(self, node: Node, stamp_ns: int, value: Vector) -> None:
        self.arrivals_s.append(node.get_clock().now().nanoseconds / NS_PER_S)
        self.stamps_s.append(stamp_ns / NS_PER_S)
        self.last = value

    def _complain(self, reason: str) -> None:
        if reason not in self.complaints:
            self.complaints.append(reason)

    def forget_times(self) -> None:
        """Count from now on."""
        self.arrivals_s.clear()
        self.stamps_s.clear()


@dataclass
class Survey:
    """What was heard during some seconds. Nodes are named with their namespaces.

    `missing` is what keeps the profile's controller from its work, `urdf` the driver's description.
    """

    joints: Stream
    gripper: Stream
    object: Stream
    goal: Stream
    command_topic: str
    commanders: tuple[str, ...] = ()
    followers: tuple[str, ...] = ()
    missing: str | None = None
    simulated_time: bool = False
    urdf: str = ""
    task: str = ""
    status: dict[str, NodeStatus] = field(default_factory=dict)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All that was listened to."""
        return self.joints, self.gripper, self.object, self.goal


def survey(client: LegionClient, profile: RobotProfile, seconds: float) -> Survey:
    """Listen to the robot and the graph for that long."""
    node = client.node
    seen = Survey(
        Stream(profile.state_topic),
        Stream(profile.gripper.state),
        Stream(topics.OBJECT),
        Stream(topics.GOAL),
        profile.command_topic,
    )
    RobotInput(node, profile, *seen.joints.ears(node))
    gripper_input(node, profile, *seen.gripper.ears(node))
    for stream in (seen.object, seen.goal):
        pose_input(node, profile, stream.topic, *stream.ears(node))
    for topic in {"/clock", f"{client.root}/clock"}:
        node.create_subscription(Clock, topic, partial(_note_clock, seen), EVENT)
    client.spin(DISCOVERY_S)
    for topic, kinds in node.get_topic_names_and_types():
        if topic.endswith("/robot_description") and "std_msgs/msg/String" in kinds:
            node.create_subscription(String, topic, partial(_note_description, seen, profile), LATCHED)
    for stream in seen.streams:
        stream.forget_times()
    presence, end = ControllerPresence(node, profile), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:  # it asks now and takes the answer later
        seen.missing = presence.missing()
        client.spin(min(left, 0.5))
    for stream in seen.streams:
        stream.publishers = _names(node.get_publishers_info_by_topic(stream.topic))
    seen.commanders = _names(node.get_publishers_info_by_topic(seen.command_topic))
    seen.followers = _names(node.get_subscriptions_info_by_topic(seen.command_topic))
    seen.task, seen.status = client.task, dict(client.status)
    return seen


def _note_clock(seen: Survey, message: Clock) -> None:
    seen.simulated_time = True


def _note_description(seen: Survey, profile: RobotProfile, message: String) -> None:
    """There may be several robots: the one with the profile's joints is meant."""
    if all(f'"{name}"' in message.data for name in profile.joint_names):
        seen.urdf = message.data


def _names(endpoints: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted(f"{each.node_namespace.rstrip('/')}/{each.node_name}" for each in endpoints))
