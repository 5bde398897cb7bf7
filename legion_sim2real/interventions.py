"""What the safety guard does to a command, by name, and how severe each of it is."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Level(str, Enum):
    """How severe an intervention is, in the order of severity."""

    CLEAR = "clear"
    """Nothing was changed."""
    SLOW = "slow"
    """The command was limited, and the motion goes on."""
    HOLD = "hold"
    """The arm brakes; it goes on by itself when the cause has gone."""
    STOP = "stop"
    """The arm brakes and stays until somebody resets the stop."""


class Intervention(str, Enum):
    """Why the guard changed or refused what it was given, in the order of its checks, and the `level` of it.

    A HOLD that the limits latch is followed by STOPPED; E_STOP is a stop that somebody asked for.
    """

    level: Level

    def __new__(cls, name: str, level: Level) -> Intervention:
        member = str.__new__(cls, name)
        member._value_, member.level = name, level
        return member

    MALFORMED_ACTION = "malformed_action", Level.HOLD
    NON_FINITE_ACTION = "non_finite_action", Level.HOLD
    ACTION_CLIPPED = "action_clipped", Level.SLOW
    MALFORMED_JOINT_STATE = "malformed_joint_state", Level.HOLD
    STALE_ACTION = "stale_action", Level.HOLD
    STALE_JOINT_STATE = "stale_joint_state", Level.HOLD
    STALE_OBJECT = "stale_object", Level.HOLD
    FUTURE_STAMP = "future_stamp", Level.HOLD
    OUTSIDE_JOINT_LIMITS = "outside_joint_limits", Level.HOLD
    TRACKING_ERROR = "tracking_error", Level.HOLD
    E_STOP = "e_stop", Level.STOP
    STOPPED = "stopped", Level.STOP
    INACTIVE = "inactive", Level.HOLD
    INTERRUPTED = "interrupted", Level.HOLD
    RAMP_IN = "ramp_in", Level.SLOW
    WORKSPACE = "workspace", Level.SLOW
    TABLE_CLEARANCE = "table_clearance", Level.SLOW
    SINGULARITY = "singularity", Level.SLOW
    PROXIMITY = "proximity", Level.SLOW
    JOINT_VELOCITY = "joint_velocity", Level.SLOW
    CARTESIAN_SPEED = "cartesian_speed", Level.SLOW
    JOINT_POSITION = "joint_position", Level.SLOW
    JOINT_ACCELERATION = "joint_acceleration", Level.SLOW
    JOINT_JERK = "joint_jerk", Level.SLOW
    STOPPING_DISTANCE = "stopping_distance", Level.SLOW
    SELF_COLLISION = "self_collision", Level.HOLD
    OBSTACLE = "obstacle", Level.HOLD


HOLDS = tuple(intervention for intervention in Intervention if intervention.level is Level.HOLD)
_ORDER = tuple(Level)


def worst(interventions: Iterable[Intervention]) -> Level:
    """The most severe level of the interventions, CLEAR without any."""
    return max([intervention.level for intervention in interventions], key=_ORDER.index, default=Level.CLEAR)
