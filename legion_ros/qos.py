"""The quality-of-service profiles of the graph, and topics that cost their nodes least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
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

LATCHED_EVENT = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
"""The same for a listener that counts its changes: of two in quick succession a depth of 1 shows it only the second."""


# rclpy warns of profiles that do not match through two more entities a topic, which its executor looks at in every turn
# of its loop; without them the way from joint state to command takes a quarter less time. On the topics whose both ends
# are in this package nothing can mismatch; those of a real robot keep the warnings.


def own_publisher(node: Node, kind: Any, topic: str, qos: QoSProfile = STREAM) -> Publisher:
    """A publisher on a topic of this package."""
    quiet = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(kind, topic, qos, event_callbacks=quiet)


def own_subscription(
    node: Node, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile = STREAM
) -> Subscription:
    """A subscription to a topic of this package."""
    quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
    return node.create_subscription(kind, topic, callback, qos, event_callbacks=quiet)


def command_publisher(node: Node, profile: RobotProfile, kind: Any, topic: str) -> Publisher:
    """A publisher of commands to robot or simulator."""
    if profile.sync == "exact":
        return own_publisher(node, kind, topic)
    return node.create_publisher(kind, topic, STREAM)


def input_subscription(
    node: Node, profile: RobotProfile, kind: Any, topic: str, callback: Callable[[Any], None]
) -> Subscription:
    """A subscription to robot or scene: without loss to a simulator, to every publisher there may be on a robot."""
    if profile.sync == "exact":
        return own_subscription(node, kind, topic, callback)
    return node.create_subscription(kind, topic, callback, SENSOR)


class Inbox:
    """The messages of a topic since the last look: what need not be known at once costs less than waking for each.

    With `raw` they are bytes, as they came. Best effort by default, which matches every publisher.
    """

    def __init__(self, node: Node, kind: Any, topic: str, depth: int, *, raw: bool = False, **policies: Any) -> None:
        qos = QoSProfile(depth=depth, **{"reliability": ReliabilityPolicy.BEST_EFFORT, **policies})
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._node = node
        self._subscription = node.create_subscription(
            kind, topic, lambda message: None, qos, callback_group=_Asleep(), event_callbacks=quiet, raw=raw
        )

    def take(self) -> list[Any]:
        """The messages that are new, the newest `depth` at most, in their order."""
        return [message for message, _ in self.take_with_info()]

    def take_with_info(self) -> list[tuple[Any, Any]]:
        """The same, each with what the middleware says of it."""
        taken, subscription = [], self._subscription
        with subscription.handle:
            while (found := subscription.handle.take_message(subscription.msg_type, subscription.raw)) is not None:
                taken.append(found)
        return taken

    def destroy(self) -> None:
        """Listen no longer."""
        self._node.destroy_subscription(self._subscription)


class _Asleep(CallbackGroup):
    """No executor wakes for its entities."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing was begun."""
