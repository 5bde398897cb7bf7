"""The recorder: takes the deployment's messages as bytes, in batches, and writes them to a bag.

No message wakes it. It looks ten times a second at what has come; the middleware has noted when each message was sent
and received.
"""

from __future__ import annotations

import importlib
import time
from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from legion_core.errors import RecordingError
from legion_ros.qos import Inbox
from legion_ros.recording.bag import Bag
from legion_ros.recording.definitions import full_definition
from legion_ros.recording.selection import LATCHED_TOPICS, OPERATOR_TOPICS, STREAMS

DEPTH = 1000
"""Messages of a topic that can wait to be taken: more than a second of the fastest robot."""


class Recorder:
    """Writes to `bag` what is said on the topics of the deployment in `node`'s namespace, and on `more`."""

    def __init__(self, node: Node, bag: Bag, more: Iterable[str] = ()) -> None:
        self._node, self._bag = node, bag
        self._inboxes: dict[str, Inbox] = {}
        self._kinds: dict[str, str] = {}
        self._asked: dict[str, dict[str, Any]] = {}
        self._unknown = set[str]()
        self._waiting: list[tuple[int, str, Any, dict[str, Any]]] = []
        reliable = {"reliability": ReliabilityPolicy.RELIABLE}
        latched = {**reliable, "durability": DurabilityPolicy.TRANSIENT_LOCAL}
        for kinds, policies in ((OPERATOR_TOPICS, reliable), (LATCHED_TOPICS, latched)):
            for topic, kind in kinds.items():
                self._listen(self._full(topic), kind, policies)
        self._wanted = {self._full(topic) for topic in (*STREAMS, *more)}

    @property
    def topics(self) -> int:
        """How many it listens to."""
        return len(self._inboxes)

    def heard(self, topic: str) -> bool:
        """Whether anything was said on a topic."""
        return self._bag.has(self._full(topic))

    def want(self, more: Iterable[str]) -> None:
        """Record these topics, too."""
        self._wanted.update(self._full(topic) for topic in more)

    def discover(self) -> list[str]:
        """Listen to what is published now, too; returns what cannot be recorded, in words, each once."""
        problems = []
        for topic, kinds in self._node.get_topic_names_and_types():
            if topic not in self._wanted or topic in self._inboxes or topic in self._unknown:
                continue
            offered = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]
            if not offered:
                continue
            try:
                full_definition(kinds[0])  # what cannot be described is not listened to
                self._listen(topic, kinds[0], _fitting(offered))
            except (RecordingError, ImportError, AttributeError) as error:
                self._unknown.add(topic)
                problems.append(f"{topic} of type {kinds[0]} is not recorded: {error}")
        return problems

    def take(self) -> None:
        """Write what came before this call, in the order in which it came: what comes meanwhile waits for the next one,
        so that a recording ends at one moment on all topics.

        Raises:
            RecordingError: it cannot be written.
        """
        now_ns = time.time_ns()
        self._waiting += [
            (info["received_timestamp"], topic, data, info)
            for topic, inbox in self._inboxes.items()
            for data, info in inbox.take_with_info()
        ]
        self._waiting.sort(key=itemgetter(0))
        count = bisect_right(self._waiting, now_ns, key=itemgetter(0))
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        for received_ns, topic, data, info in found:
            if not self._bag.has(topic):
                self._add(topic)
            sequence = info.get("publication_sequence_number") or 0
            self._bag.add(topic, received_ns, info["source_timestamp"], bytes(data), sequence % 2**32)

    def _listen(self, topic: str, kind: str, policies: dict[str, Any]) -> None:
        self._inboxes[topic] = Inbox(self._node, message_class(kind), topic, DEPTH, raw=True, **policies)
        self._kinds[topic], self._asked[topic] = kind, policies

    def _add(self, topic: str) -> None:
        publishers = self._node.get_publishers_info_by_topic(topic)
        # a publisher that has spoken may have gone
        profiles = [info.qos_profile for info in publishers] or [QoSProfile(depth=10, **self._asked[topic])]
        hashes = {str(getattr(info, "topic_type_hash", "")) for info in publishers}  # not in Humble
        self._bag.add_topic(topic, self._kinds[topic], profiles, hashes.pop() if len(hashes) == 1 else "")

    def _full(self, topic: str) -> str:
        return topic if topic.startswith("/") else f"{self._node.get_namespace().rstrip('/')}/{topic}"


def message_class(name: str) -> Any:
    """The message class of that name; ImportError or AttributeError where it is not installed."""
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def _fitting(offered: Iterable[QoSProfile]) -> dict[str, Any]:
    """What all of the publishers can fulfil: only what each of them offers may be asked."""
    profiles = list(offered)
    reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
    latched = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
    return {
        "reliability": ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        "durability": DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    }
