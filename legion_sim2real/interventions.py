"""What the safety guard does to a command, by name, and how severe each of it is."""

from __future__ import annotations

from enum import Enum


class Level(str, Enum):
    """How severe an intervention is; in the order of severity."""

    CLEAR = "clear"
    """Nothing was changed."""
    SLOW = "slow"
    """The motion was limited, and goes on."""
    HOLD = "hold"
    """The arm brakes; it goes on by itself when the cause has gone."""
    STOP = "stop"
    """The arm brakes and stays until somebody resets the stop."""


class Intervention(str, Enum):
    """Why the guard changed or refused what it was given, in the order of its checks."""

    MALFORMED_ACTION = "malformed_action"
    NON_FINITE_ACTION = "non_finite_action"
    ACTION_CLIPPED = "action_clipped"
    MALFORMED_JOINT_STATE = "malformed_joint_state"
    STALE_ACTION = "stale_action"
    STALE_JOINT_STATE = "stale_joint_state"
    STALE_OBJECT = "stale_object"
    FUTURE_STAMP = "future_stamp"
    OUTSIDE_JOINT_LIMITS = "outside_joint_limits"
    TRACKING_ERROR = "tracking_error"
    E_STOP = "e_stop"
    STOPPED = "stopped"
    INACTIVE = "inactive"
    INTERRUPTED = "interrupted"
    WORKSPACE = "workspace"
    TABLE_CLEARANCE = "table_clearance"
    CARTESIAN_SPEED = "cartesian_speed"
    SINGULARITY = "singularity"
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    JOINT_ACCELERATION = "joint_acceleration"
    JOINT_JERK = "joint_jerk"
    STOPPING_DISTANCE = "stopping_distance"
    PROXIMITY = "proximity"
    SELF_COLLISION = "self_collision"
    OBSTACLE = "obstacle"
    RAMP_IN = "ramp_in"

    @property
    def level(self) -> Level:
        """How severe it is, unless the limits say that it latches a stop."""
        if self in _STOPS:
            return Level.STOP
        return Level.HOLD if self in HOLDS else Level.SLOW


_STOPS = frozenset({Intervention.E_STOP, Intervention.STOPPED})
"""Somebody pressed the emergency stop; something that latches a stop has happened."""

HOLDS = frozenset(
    {
        Intervention.MALFORMED_ACTION,
        Intervention.NON_FINITE_ACTION,
        Intervention.MALFORMED_JOINT_STATE,
        Intervention.STALE_ACTION,
        Intervention.STALE_JOINT_STATE,
        Intervention.STALE_OBJECT,
        Intervention.FUTURE_STAMP,
        Intervention.OUTSIDE_JOINT_LIMITS,
        Intervention.TRACKING_ERROR,
        Intervention.INACTIVE,
        Intervention.INTERRUPTED,
        Intervention.SELF_COLLISION,
        Intervention.OBSTACLE,
    }
)
"""After these the arm brakes. All others slow it down or turn it aside."""

SEVERITY = {level: rank for rank, level in enumerate(Level)}


def worst(interventions: tuple[Intervention, ...]) -> Level:
    """The most severe level of the given interventions, CLEAR without any."""
    return max([i.level for i in interventions], key=SEVERITY.__getitem__, default=Level.CLEAR)
