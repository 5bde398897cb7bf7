"""monitor_node: what RViz shows (workspace, target, goal, object, trail, text), and the health of the whole graph.

The poses are listened to only while somebody looks at the markers: watching must cost the pipeline nothing.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PoseStamped
from rclpy.node import Node
from rclpy.subscription import Subscription
from std_msgs.msg import Bool, String
from visualization_msgs.msg import Marker, MarkerArray

from legion_core.errors import SpaceError
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT, LATCHED, SENSOR
from legion_ros.robot_io import PoseReader
from legion_sim2real.interventions import Level
from legion_sim2real.robot import load_profile

NAME = "monitor_node"
TRAIL_LENGTH = 300
SILENT_S = 2.0
"""A node whose last report is older than this is reported as silent."""
SPHERES = {
    topics.OBJECT: ("object", (0.9, 0.5, 0.1, 0.9), 0.04),
    topics.GOAL: ("goal", (0.1, 0.8, 0.2, 0.9), 0.03),
    topics.TARGET_POSE: ("target", (0.2, 0.4, 1.0, 0.9), 0.02),
}
Colour = tuple[float, float, float, float]


@dataclass(frozen=True)
class MonitorSettings:
    """Parameters of the monitor node."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    rate_hz: float = parameter(5.0, "Marker arrays a second", minimum=0.5, maximum=30.0)


@dataclass
class NodeHealth:
    """The newest report of a node."""

    level: int
    message: str
    rate: str
    at: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        age = time.monotonic() - self.at
        silent = f"silent for {age:.1f} s; last: " if age > SILENT_S else ""
        return f"{silent}{self.message}{self.rate}, {age:.1f} s ago"

    @property
    def healthy(self) -> bool:
        """Whether the report is good and fresh."""
        return self.level == 0 and time.monotonic() - self.at <= SILENT_S


class MonitorNode(Node):
    """Listens only: the deployment works without it."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, MonitorSettings)
        profile = load_profile(settings.robot)
        limits = profile.load_safety()
        self._box = limits.workspace_low_m, limits.workspace_high_m
        self._frame = profile.frames.base
        self._readers = {topic: PoseReader(profile, topic) for topic in SPHERES}
        self._trail: deque[Point] = deque(maxlen=TRAIL_LENGTH)
        self._places: dict[str, Point] = {}
        self._listening: list[Subscription] = []
        self._task, self._e_stop = "", False
        self._guard = {"level": "unknown", "stop_reason": "none"}
        self._nodes: dict[str, NodeHealth] = {}
        self._root = f"{self.get_namespace().rstrip('/')}/"
        self.create_subscription(String, topics.TASK, self._on_task, LATCHED)
        self.create_subscription(Bool, topics.E_STOP, self._on_e_stop, LATCHED)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, EVENT)
        self._markers = self.create_publisher(MarkerArray, topics.MARKERS, EVENT)
        self.create_timer(1.0 / settings.rate_hz, self._on_timer)
        self._diagnostics = Diagnostics(self, self._report)

    def _on_task(self, message: String) -> None:
        self._task = message.data
        self._trail.clear()

    def _on_e_stop(self, message: Bool) -> None:
        self._e_stop = message.data

    def _on_pose(self, topic: str, message: PoseStamped) -> None:
        with suppress(SpaceError):  # who needs the pose says what is wrong with it
            x, y, z = self._readers[topic].position(message).tolist()
            self._places[topic] = Point(x=x, y=y, z=z)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            root, slash, name = status.name.rpartition("/")
            if root + slash != self._root or name == NAME:
                continue
            rates = [f", {float(pair.value):.0f} Hz" for pair in status.values if pair.key == "rate_hz"]
            level = int.from_bytes(status.level, "little")
            self._nodes[name] = NodeHealth(level, status.message, "".join(rates))
            self._guard |= {pair.key: pair.value for pair in status.values if pair.key in self._guard}

    def _on_timer(self) -> None:
        watched = self._markers.get_subscription_count() > 0
        self._listen(watched)
        if watched:
            self._publish_markers()

    def _listen(self, wanted: bool) -> None:
        if wanted and not self._listening:
            self._listening = [
                self.create_subscription(PoseStamped, topic, partial(self._on_pose, topic), SENSOR) for topic in SPHERES
            ]
        elif not wanted and self._listening:
            for subscription in self._listening:
                self.destroy_subscription(subscription)
            self._listening, self._places = [], {}
            self._trail.clear()

    def _publish_markers(self) -> None:
        markers = [self._workspace(), self._text()]
        for topic, (name, colour, size) in SPHERES.items():
            if topic in self._places:
                sphere = self._marker(name, Marker.SPHERE, colour, (size, size, size))
                sphere.pose.position = self._places[topic]
                markers.append(sphere)
        if topics.TARGET_POSE in self._places:
            self._trail.append(self._places[topics.TARGET_POSE])
        trail = self._marker("trail", Marker.LINE_STRIP, (0.2, 0.4, 1.0, 0.6), (0.004, 0.0, 0.0))
        trail.points = list(self._trail)
        self._markers.publish(MarkerArray(markers=[*markers, trail]))

    def _workspace(self) -> Marker:
        low, high = self._box
        size = [b - a for a, b in zip(low, high, strict=True)]
        box = self._marker("workspace", Marker.CUBE, (0.5, 0.5, 0.5, 0.1), (size[0], size[1], size[2]))
        place = box.pose.position
        place.x, place.y, place.z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
        return box

    def _text(self) -> Marker:
        text = self._marker("text", Marker.TEXT_VIEW_FACING, (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.05))
        text.pose.position.z = self._box[1][2] + 0.1
        lines = [f"E-STOP: {self._guard['stop_reason']}" if self._e_stop else self._task or "no task"]
        if self._task and self._guard["level"] in (Level.SLOW, Level.HOLD):
            lines.append(f"guard: {self._guard['level']}")
        troubled = (f"{name}: {health}" for name, health in self._nodes.items() if not health.healthy)
        text.text = "\n".join([*lines, *troubled])
        return text

    def _marker(self, name: str, kind: int, colour: Colour, size: tuple[float, float, float]) -> Marker:
        marker = Marker(ns=name, type=kind, action=Marker.ADD)
        marker.header.frame_id = self._frame
        marker.header.stamp = self.get_clock().now().to_msg()
        marker.pose.orientation.w = 1.0
        marker.scale.x, marker.scale.y, marker.scale.z = size
        marker.color.r, marker.color.g, marker.color.b, marker.color.a = colour
        return marker

    def _report(self) -> tuple[str, dict[str, object]]:
        values: dict[str, object] = {name: str(health) for name, health in sorted(self._nodes.items())}
        values |= {"task": self._task or "none", "e_stop": self._e_stop, **self._guard}
        troubled = ", ".join(name for name, health in sorted(self._nodes.items()) if not health.healthy)
        return f"problems in {troubled}" if troubled else "all nodes are well", values


def main() -> None:
    """Entry point of the executable."""
    os.nice(5)  # whoever watches must not slow down those who work
    run(NAME, MonitorNode)


if __name__ == "__main__":
    main()
