"""monitor_node: what RViz shows (legion_ros.markers), and the health of the whole graph.

The poses are listened to only while somebody looks at the markers: watching must cost the pipeline nothing.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from visualization_msgs.msg import MarkerArray

from legion_core.bundle import PolicyBundle
from legion_core.errors import SpaceError
from legion_core.spaces import Vector
from legion_ros import topics
from legion_ros.aggregation import Aggregator
from legion_ros.diagnostics import Diagnostics
from legion_ros.latents import Latent, LatentReader
from legion_ros.markers import SPHERES, MarkerPainter, Shown
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT, LATCHED, Inbox
from legion_ros.robot_io import PoseReader
from legion_sim2real.robot import load_profile

NAME = "monitor_node"
TRAIL_LENGTH = 300
TREE_PERIOD_S = 0.5
"""As often as the nodes report."""
LIFETIME_PERIODS = 5.0
"""Markers stay for so many periods after the last of them, and vanish when the monitor does."""


@dataclass(frozen=True)
class MonitorSettings:
    """Parameters of the monitor node."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    policy: str = parameter("", "Folder of the policy bundle; empty: the one that comes with the package")
    rate_hz: float = parameter(5.0, "Marker arrays a second", minimum=0.5, maximum=30.0)


class MonitorNode(Node):
    """Listens only: the deployment works without it."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, MonitorSettings)
        profile = load_profile(settings.robot)
        limits = profile.load_safety()
        self._painter = MarkerPainter(
            profile.frames.base,
            limits.workspace_low_m,
            limits.workspace_high_m,
            LIFETIME_PERIODS / settings.rate_hz,
        )
        self._readers = {topic: PoseReader(profile, topic) for topic in SPHERES}
        self._latents = LatentReader(PolicyBundle.load(settings.policy or None).manifest)
        self._trail: deque[Vector] = deque(maxlen=TRAIL_LENGTH)
        self._places: dict[str, Vector] = {}
        self._latent: Latent | None = None
        self._inboxes: dict[str, Inbox] = {}
        self._task, self._e_stop = "", False
        self._health = Aggregator(self.get_namespace().rstrip("/"))
        self._tree_publisher = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS_AGGREGATED, EVENT)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulation that stands still is what is looked into
        self.create_timer(TREE_PERIOD_S, self._publish_tree, clock=steady)
        self.create_subscription(String, topics.TASK, self._on_task, LATCHED)
        self.create_subscription(Bool, topics.E_STOP, self._on_e_stop, LATCHED)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, EVENT)
        self._markers = self.create_publisher(MarkerArray, topics.MARKERS, EVENT)
        self.create_timer(1.0 / settings.rate_hz, self._on_timer, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)

    def _on_task(self, message: String) -> None:
        self._task = message.data
        self._trail.clear()
        self._places.clear()

    def _on_e_stop(self, message: Bool) -> None:
        self._e_stop = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._health.hear(status)

    def _publish_tree(self) -> None:
        if self._tree_publisher.get_subscription_count() > 0:
            tree = DiagnosticArray(status=self._health.statuses())
            tree.header.stamp = self.get_clock().now().to_msg()
            self._tree_publisher.publish(tree)

    def _on_timer(self) -> None:
        watched = self._markers.get_subscription_count() > 0
        if watched != bool(self._inboxes):
            self._listen(watched)
        if watched:
            self._look()
            self._markers.publish(self._painter.paint(self._shown(), self.get_clock().now().to_msg()))

    def _listen(self, wanted: bool) -> None:
        if wanted:
            self._inboxes = {topic: Inbox(self, PoseStamped, topic, depth=1) for topic in SPHERES}
            self._inboxes[topics.LATENT] = Inbox(self, JointState, topics.LATENT, depth=1)
            return
        for inbox in self._inboxes.values():
            inbox.destroy()
        self._inboxes, self._places, self._latent = {}, {}, None
        self._trail.clear()

    def _look(self) -> None:
        """Take what is new; who needs a message says what is wrong with it."""
        for topic, inbox in self._inboxes.items():
            for message in inbox.take():
                with suppress(SpaceError):
                    if topic == topics.LATENT:
                        self._latent = self._latents.read(message)
                    else:
                        self._places[topic] = self._readers[topic].position(message)
        if topics.TARGET_POSE in self._places:
            self._trail.append(self._places[topics.TARGET_POSE])

    def _shown(self) -> Shown:
        latent = self._latent if self._task else None
        return Shown(
            places=self._places,
            trail=self._trail,
            task=self._task,
            stopped=self._health.value("sim2real_node", "stop_reason", "none") if self._e_stop else "",
            guard=self._health.value("sim2real_node", "level", "unknown") if self._task else "",
            component=latent.task if latent else "",
            certainty=latent.certainty if latent else 0.0,
            troubles=[f"{name}: {message}" for name, message in self._health.troubles().items()],
        )

    def _report(self) -> tuple[str, dict[str, object]]:
        troubled = ", ".join(self._health.troubles())
        text = f"problems in {troubled}" if troubled else "all nodes are well"
        return text, {"task": self._task or "none", "e_stop": self._e_stop}


def main() -> None:
    """Entry point of the executable."""
    os.nice(5)  # whoever watches must not slow down those who work
    run(NAME, MonitorNode)


if __name__ == "__main__":
    main()
