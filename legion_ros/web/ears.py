"""What the page hears of the graph: the rare messages as they come, the streams when the page looks."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from visualization_msgs.msg import MarkerArray

from legion_core.bundle import Manifest
from legion_core.errors import SpaceError
from legion_ros import topics
from legion_ros.aggregation import Aggregator
from legion_ros.latents import Latent, LatentReader
from legion_ros.qos import EVENT, LATCHED, Inbox
from legion_ros.reply import Reply
from legion_ros.web.state import Health, Line, MissionState, PageState

EPISODE_DEPTH, DIAGNOSTICS_DEPTH = 20, 60
SILENT_S = 3.0
"""sim2real_node reports twice a second; after so long without a report it is silent."""
LATENCY_KEYS = ("latency_median_ms", "latency_p99_ms")
CM_A_M = 100.0
SUCCEEDED, UNDER_WAY = "succeeded", ("running", "paused", "held")
"""States of a step, and of a mission, as mission_node tells them."""


class Ears:
    """Fills `state`. Made when the first browser comes, closed when the last one has gone.

    How late a command comes is the simulator's to say where the robot is `simulated`, else sim2real_node's.
    """

    def __init__(self, node: Node, manifest: Manifest, state: PageState, simulated: bool) -> None:
        self._node, self._state = node, state
        root = node.get_namespace().rstrip("/")
        self._timed = f"{root}/{'mujoco_node' if simulated else 'sim2real_node'}"
        self._guarding = f"{root}/sim2real_node"
        self._health = Aggregator(root)
        self._reader = LatentReader(manifest)
        self._subscriptions: list[Subscription] = []
        self._markers = Inbox(node, MarkerArray, topics.MARKERS, depth=1)
        self._latent = Inbox(node, JointState, topics.LATENT, depth=1)
        self._episodes = Inbox(node, JointState, topics.EPISODE, depth=EPISODE_DEPTH)
        self._diagnostics = Inbox(node, DiagnosticArray, topics.DIAGNOSTICS, depth=DIAGNOSTICS_DEPTH)
        self._inboxes = (self._markers, self._latent, self._episodes, self._diagnostics)
        self._guard_heard, self._task_heard = time.monotonic(), False
        self._hear(String, topics.REPLY, self._on_reply, EVENT)
        self._hear(String, topics.TASK, self._on_task, LATCHED)
        self._hear(Bool, topics.E_STOP, self._on_e_stop, LATCHED)
        self._hear(String, topics.MISSION_STATE, self._on_mission, LATCHED)
        self._hear(String, topics.VOICE_TRANSCRIPT, self._on_transcript, EVENT)

    def _hear(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, qos))

    def close(self) -> None:
        """Listen no longer."""
        for inbox in self._inboxes:
            inbox.destroy()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    # what comes rarely

    def _on_reply(self, message: String) -> None:
        with suppress(ValueError):
            reply = Reply.parse(message.data)
            verdict = "understood" if reply.accepted else "refused"
            self._state.lines.append(Line(verdict, f"“{reply.instruction}”: {reply.text}", reply.accepted))

    def _on_task(self, message: String) -> None:
        # what is heard first may be the task that ran when the last browser left: no further attempt
        if self._task_heard or message.data != self._state.task:
            self._state.tally.begin(message.data)
        self._task_heard = True
        self._state.task, self._state.component = message.data, ""

    def _on_e_stop(self, message: Bool) -> None:
        self._state.e_stop, self._state.stop_asked = message.data, ""

    def _on_mission(self, message: String) -> None:
        with suppress(ValueError):
            before, self._state.mission = self._state.mission, MissionState.parse(message.data)
            self._count(before, self._state.mission)

    def _count(self, before: MissionState, now: MissionState) -> None:
        """Successes: in a mission those of its steps, as the next one begins at once; else that of the task."""
        for was, step in zip(before.steps, now.steps, strict=False):
            if step.state == SUCCEEDED != was.state:
                self._state.tally.credit(step.task)
        if now.state not in UNDER_WAY:
            self._state.tally.see(now.task, now.success)

    def _on_transcript(self, message: String) -> None:
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(message.data)
            if said["final"]:
                self._state.lines.append(Line(f"voice, {said['state']}", str(said["text"])))

    # streams

    def markers(self) -> MarkerArray | None:
        """What monitor_node draws; None if nothing new came."""
        return next(iter(self._markers.take()), None)

    def latent(self) -> Latent | None:
        """The newest latent, None if none came since the last look."""
        for message in self._latent.take():
            with suppress(SpaceError):
                latent = self._reader.read(message)
                self._state.component, self._state.certainty = latent.task, latent.certainty
                return latent
        return None

    def look(self) -> None:
        """Take in the episodes and diagnostics that came since the last look."""
        for message in self._episodes.take():
            values = dict(zip(message.name, message.position, strict=False))
            distance_m, success = values.get("distance", 0.0), values.get("success", 0.0)
            self._state.episodes.add(time.monotonic(), CM_A_M * distance_m, success)
        for array in self._diagnostics.take():
            for status in array.status:
                self._health.hear(status)
                self._on_status(status)
        self._state.silent = time.monotonic() - self._guard_heard > SILENT_S
        self._state.health = [Health.of(status) for status in self._health.statuses()]

    def _on_status(self, status: Any) -> None:
        values = {pair.key: pair.value for pair in status.values}
        if status.name == self._guarding:
            self._guard_heard = time.monotonic()
            self._state.guard = values.get("level", "")
            self._state.stop_reason = values.get("stop_reason", "")
        if status.name == self._timed and all(key in values for key in LATENCY_KEYS):
            self._state.latencies.add(time.monotonic(), *(float(values[key]) for key in LATENCY_KEYS))
