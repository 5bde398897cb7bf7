"""The quality-of-service profiles of the graph."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from legion_sim2real.robot import RobotProfile

STREAM = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""A stream inside the graph: the newest sample, and none lost in lockstep."""

SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Input from drivers and perception of others: a best-effort subscription matches every publisher."""

EVENT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""Rare messages of which each one counts."""

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""A state that a late joiner must learn."""


def inputs_qos(profile: RobotProfile) -> QoSProfile:
    """How to listen to robot and scene: without loss to a simulator, to everybody on a robot."""
    return STREAM if profile.sync == "exact" else SENSOR
