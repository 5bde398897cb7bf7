"""monitor_node: what RViz shows (workspace, target, goal, object, trail, text), and how frequent and old topics are."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from visualization_msgs.msg import Marker, MarkerArray

from legion_ros import topics
from legion_ros.diagnostics import Diagnostics, RateMeter
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT, LATCHED, SENSOR
from legion_sim2real.robot import load_profile

NAME = "monitor_node"
TRAIL_LENGTH = 300
SILENT_S = 1.0
Colour = tuple[float, float, float, float]


@dataclass(frozen=True)
class MonitorSettings:
    """Parameters of the monitor node."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    rate_hz: float = parameter(5.0, "Marker arrays a second", minimum=0.5, maximum=30.0)


class Watched:
    """A topic: its newest message, its rate and its age."""

    def __init__(self) -> None:
        self.rate = RateMeter()
        self.message: Any = None
        self._at = 0.0

    def take(self, message: Any) -> None:
        """One message."""
        self.rate.tick()
        self.message = message
        self._at = time.monotonic()

    def report(self) -> str:
        """Rate and age in words."""
        if self.message is None:
            return "nothing yet"
        return f"{self.rate.rate_hz():.1f} Hz, {time.monotonic() - self._at:.2f} s old"


class MonitorNode(Node):
    """Listens only: the deployment works without it."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, MonitorSettings)
        profile = load_profile(settings.robot)
        limits = profile.load_safety()
        self._box = limits.workspace_low_m, limits.workspace_high_m
        self._frame = profile.base_frame
        self._trail: deque[Point] = deque(maxlen=TRAIL_LENGTH)
        self._task, self._e_stop = "", False
        self._states: dict[str, str] = {}
        self._watched = {
            topics.OBJECT: self._watch(PoseStamped, topics.OBJECT),
            topics.GOAL: self._watch(PoseStamped, topics.GOAL),
            topics.TARGET_POSE: self._watch(PoseStamped, topics.TARGET_POSE),
            # only counted: serialised they cost least
            topics.OBSERVATION: self._watch(JointState, topics.OBSERVATION, raw=True),
            topics.ACTION: self._watch(JointState, topics.ACTION, raw=True),
            profile.topics.joint_states: self._watch(JointState, profile.topics.joint_states, raw=True),
        }
        self.create_subscription(String, topics.TASK, self._on_task, LATCHED)
        self.create_subscription(Bool, topics.E_STOP, self._on_e_stop, LATCHED)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, EVENT)
        self._markers = self.create_publisher(MarkerArray, topics.MARKERS, EVENT)
        self.create_timer(1.0 / settings.rate_hz, self._publish_markers)
        self._diagnostics = Diagnostics(self, self._report)

    def _watch(self, kind: Any, topic: str, raw: bool = False) -> Watched:
        watched = Watched()
        self.create_subscription(kind, topic, watched.take, SENSOR, raw=raw)
        return watched

    def _on_task(self, message: String) -> None:
        self._task = message.data
        self._trail.clear()

    def _on_e_stop(self, message: Bool) -> None:
        self._e_stop = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if int.from_bytes(status.level, "little") > 0:
                self._states[status.name] = status.message
            else:
                self._states.pop(status.name, None)

    def _publish_markers(self) -> None:
        target = self._watched[topics.TARGET_POSE].message
        if target is not None:
            self._trail.append(target.pose.position)
        if not self._markers.get_subscription_count():
            return
        markers = [self._workspace(), self._text()]
        for name, topic, colour, size in (
            ("object", topics.OBJECT, (0.9, 0.5, 0.1, 0.9), 0.04),
            ("goal", topics.GOAL, (0.1, 0.8, 0.2, 0.9), 0.03),
            ("target", topics.TARGET_POSE, (0.2, 0.4, 1.0, 0.9), 0.02),
        ):
            pose = self._watched[topic].message
            if pose is not None:
                sphere = self._marker(name, Marker.SPHERE, colour, (size, size, size))
                sphere.pose = pose.pose
                markers.append(sphere)
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
        lines = ["E-STOP" if self._e_stop else self._task or "no task"]
        text.text = "\n".join([*lines, *(f"{name}: {message}" for name, message in self._states.items())])
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
        values: dict[str, object] = {topic: watched.report() for topic, watched in self._watched.items()}
        values["e_stop"] = self._e_stop
        troubled = ", ".join(sorted(self._states))
        return f"problems in {troubled}" if troubled else "watching", values


def main() -> None:
    """Entry point of the executable."""
    os.nice(5)  # whoever watches must not slow down those who work
    run(NAME, MonitorNode)


if __name__ == "__main__":
    main()
