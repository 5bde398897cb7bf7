"""The quality-of-service profiles of the graph, and streams that cost their nodes least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from legion_sim2real.robot import RobotProfile

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

STREAM = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""A stream inside the graph: the newest sample, and none lost in lockstep."""

SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Input from drivers and perception of others: a best-effort subscription matches every publisher."""

EVENT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""Rare messages of which each one counts."""

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""A state that a late joiner must learn."""


# rclpy warns of mismatched profiles through two more entities a topic, which its executor looks at in every turn of its
# loop. Both ends of these streams are in this package, so nothing can mismatch; without them a turn is a third shorter.


def stream_publisher(node: Node, kind: Any, topic: str) -> Publisher:
    """A publisher of a stream inside the graph."""
    return node.create_publisher(
        kind, topic, STREAM, event_callbacks=PublisherEventCallbacks(use_default_callbacks=False)
    )


def stream_subscription(node: Node, kind: Any, topic: str, callback: Callable[[Any], None]) -> Subscription:
    """A subscription to a stream inside the graph."""
    return node.create_subscription(
        kind, topic, callback, STREAM, event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False)
    )


def input_subscription(
    node: Node, profile: RobotProfile, kind: Any, topic: str, callback: Callable[[Any], None]
) -> Subscription:
    """A subscription to robot or scene: without loss to a simulator, to every publisher there may be on a robot."""
    if profile.sync == "exact":
        return stream_subscription(node, kind, topic, callback)
    return node.create_subscription(kind, topic, callback, SENSOR)
