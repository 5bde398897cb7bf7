"""The safety guard: everything that leaves for the robot passes here and is inside every limit.

The controllers of the robot hold their last command for ever, so freshness, limits and smoothness are decided here. The
guard remembers what it last let through, and limits the next command against that: whatever goes in, the commands that
come out keep joint position, velocity and acceleration limits and never go faster than they can brake.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import Enum

import numpy as np

from legion_core.config import require
from legion_core.spaces import ACTION_FIELDS, Vector
from legion_sim2real.kinematics import ArmKinematics
from legion_sim2real.real2sim import RobotState

Triple = tuple[float, float, float]
CLOCK_RESOLUTION_DIGITS = 6
"""Time steps are rounded to microseconds: a stamp loses its last bits in a message, and results must not."""


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
    E_STOP = "e_stop"
    INACTIVE = "inactive"
    OUTSIDE_JOINT_LIMITS = "outside_joint_limits"
    INTERRUPTED = "interrupted"
    TRACKING_ERROR = "tracking_error"
    WORKSPACE = "workspace"
    TABLE_CLEARANCE = "table_clearance"
    CARTESIAN_SPEED = "cartesian_speed"
    SINGULARITY = "singularity"
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    JOINT_ACCELERATION = "joint_acceleration"
    STOPPING_DISTANCE = "stopping_distance"
    RAMP_IN = "ramp_in"


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of the guard; every one must be given, and none can be switched off. World frame, SI units.

    Times: `action_timeout_s`, `joint_state_timeout_s` and `object_timeout_s` are the greatest ages by stamp,
    `future_tolerance_s` is how far ahead of the clock a stamp may be, `max_period_s` the longest time between two
    commands before the stream counts as interrupted, `ramp_in_s` the time from a (re)start to full speed.
    Space: the hand stays in the box `workspace_low_m`..`workspace_high_m`, the tool centre `table_clearance_m` above
    `table_height_m`; a braking arm comes to rest at most `overshoot_m` beyond.
    Motion: `max_speed_m_s` and `max_turn_rad_s` of the hand; `joint_velocity_scale` of the datasheet's speeds,
    `joint_acceleration_rad_s2`, `joint_margin_rad` kept from each end stop, `max_tracking_error_rad` between command
    and measurement. Where the smallest singular value of the Jacobian is below `singular_value_threshold`, inverse
    kinematics is damped by up to `max_damping`.
    """

    action_timeout_s: float
    joint_state_timeout_s: float
    object_timeout_s: float
    future_tolerance_s: float
    max_period_s: float
    ramp_in_s: float
    workspace_low_m: Triple
    workspace_high_m: Triple
    table_height_m: float
    table_clearance_m: float
    overshoot_m: float
    max_speed_m_s: float
    max_turn_rad_s: float
    joint_velocity_scale: float
    joint_acceleration_rad_s2: float
    joint_margin_rad: float
    max_tracking_error_rad: float
    singular_value_threshold: float
    max_damping: float

    def __post_init__(self) -> None:
        for key, low, high in (
            ("action_timeout_s", 0.01, 2.0),
            ("joint_state_timeout_s", 0.01, 2.0),
            ("object_timeout_s", 0.01, 10.0),
            ("future_tolerance_s", 0.0, 0.5),
            ("max_period_s", 0.002, 0.5),
            ("ramp_in_s", 0.05, 10.0),
            ("table_height_m", -2.0, 2.0),
            ("table_clearance_m", 0.0, 0.5),
            ("overshoot_m", 0.001, 0.05),
            ("max_speed_m_s", 0.01, 1.5),
            ("max_turn_rad_s", 0.01, 6.0),
            ("joint_velocity_scale", 0.01, 1.0),
            ("joint_acceleration_rad_s2", 0.1, 100.0),
            ("joint_margin_rad", 0.01, 0.5),
            ("max_tracking_error_rad", 0.01, 0.6),
            ("singular_value_threshold", 0.01, 0.5),
            ("max_damping", 0.01, 1.0),
        ):
            require(low <= getattr(self, key) <= high, key, getattr(self, key), f"{low} to {high}")
        for key in ("workspace_low_m", "workspace_high_m"):
            require(all(abs(x) <= 2.0 for x in getattr(self, key)), key, getattr(self, key), "-2 to 2 m each")
        above = all(low < high for low, high in zip(self.workspace_low_m, self.workspace_high_m, strict=True))
        require(above, "workspace_high_m", self.workspace_high_m, f"above workspace_low_m {self.workspace_low_m}")


class SafetyGuard:
    """Refuses, limits and counts. `counts` maps the name of each Intervention to how often it happened.

    A guard starts inactive: nothing moves before `activate()`.
    """

    def __init__(self, limits: SafetyLimits, kinematics: ArmKinematics) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self._kinematics = kinematics
        self._low, self._high = np.array(limits.workspace_low_m), np.array(limits.workspace_high_m)
        self._sides = np.array([[1.0], [-1.0]])
        self._ends = np.stack((kinematics.upper, -kinematics.lower)) - limits.joint_margin_rad
        self._fastest = kinematics.velocity * limits.joint_velocity_scale
        self._floor = limits.table_height_m + limits.table_clearance_m
        self._e_stopped = False
        self._active = False
        self._noted: list[Intervention] = []
        self._position: Vector | None = None
        self._velocity = np.zeros(7)
        self._time = 0.0
        self._start = 0.0

    # ------------------------------------------------------------------------------------------ operator

    @property
    def e_stopped(self) -> bool:
        """Whether the emergency stop is latched."""
        return self._e_stopped

    def e_stop(self) -> None:
        """Latch the emergency stop: the arm brakes and stays until `clear_e_stop`."""
        self._e_stopped = True

    def clear_e_stop(self) -> None:
        """Release the emergency stop; motion starts again with the next action, from the measured pose."""
        self._e_stopped = False

    def activate(self) -> None:
        """Let actions move the arm."""
        self._active = True

    def deactivate(self) -> None:
        """Brake and hold until activated again."""
        self._active = False

    # ----------------------------------------------------------------------------------------- reporting

    def note(self, intervention: Intervention) -> None:
        """Count an intervention and report it with the command that is being made."""
        self._noted.append(intervention)
        self.counts[intervention.value] += 1

    def take_notes(self) -> tuple[Intervention, ...]:
        """The interventions noted since the last call."""
        noted = tuple(dict.fromkeys(self._noted))
        self._noted.clear()
        return noted

    # ----------------------------------------------------------------------------------------- admission

    def check_action(self, action: Vector) -> Vector | None:
        """The action (4,) clipped to [-1, 1], or None where it is malformed or not finite."""
        try:
            values = np.asarray(action, float)
        except (TypeError, ValueError):
            values = np.empty(0)
        if values.shape != (len(ACTION_FIELDS),):
            self.note(Intervention.MALFORMED_ACTION)
            return None
        if not _finite(values):
            self.note(Intervention.NON_FINITE_ACTION)
            return None
        clipped = clip(values, -1.0, 1.0)
        if differ(clipped, values):
            self.note(Intervention.ACTION_CLIPPED)
        return clipped

    def check_state(self, state: RobotState, now_s: float) -> bool:
        """Whether the measured joint positions can be trusted: seven finite, fresh numbers within the joint limits."""
        q = state.joint_positions
        if np.shape(q) != (7,) or not _finite(q):
            self.note(Intervention.MALFORMED_JOINT_STATE)
            return False
        if not self._fresh(state.stamp_s, now_s, self.limits.joint_state_timeout_s, Intervention.STALE_JOINT_STATE):
            return False
        if differ(clip(q, self._kinematics.lower, self._kinematics.upper), q):
            self.note(Intervention.OUTSIDE_JOINT_LIMITS)
            return False
        return True

    def check_release(self, action_stamp_s: float, object_stamp_s: float, now_s: float) -> bool:
        """Whether motion is allowed: action and object are fresh, no emergency stop is latched, the guard is active."""
        fresh = self._fresh(action_stamp_s, now_s, self.limits.action_timeout_s, Intervention.STALE_ACTION)
        seen = self._fresh(object_stamp_s, now_s, self.limits.object_timeout_s, Intervention.STALE_OBJECT)
        if self._e_stopped:
            self.note(Intervention.E_STOP)
        if not self._active:
            self.note(Intervention.INACTIVE)
        return fresh and seen and self._active and not self._e_stopped

    def _fresh(self, stamp_s: float, now_s: float, timeout_s: float, stale: Intervention) -> bool:
        age = now_s - stamp_s
        if age < -self.limits.future_tolerance_s:
            self.note(Intervention.FUTURE_STAMP)
            return False
        if not age <= timeout_s:  # written so that a stamp that is not a number is stale
            self.note(stale)
            return False
        return True

    # ------------------------------------------------------------------------------- the stream of commands

    def reset(self) -> None:
        """Forget what was commanded: the next command starts from the measured pose."""
        self._position = None

    @property
    def position(self) -> Vector | None:
        """The joint positions (7,) that last left the guard, None before the first."""
        return self._position

    @property
    def moving(self) -> bool:
        """Whether the last command had a velocity."""
        return bool(self._velocity.any())

    def period(self, now_s: float) -> float | None:
        """Time since the last command; None where there is none, or it is too long ago, or the clock went back."""
        if self._position is None:
            return None
        period = now_s - self._time
        if not 0.0 <= period <= self.limits.max_period_s + 1e-9:
            self.note(Intervention.INTERRUPTED)
            return None
        return round(period, CLOCK_RESOLUTION_DIGITS)

    def tracks(self, state: RobotState) -> bool:
        """Whether the measured joints follow the last command."""
        if self._position is None:
            return True
        error = _largest(self._position - state.joint_positions)
        if error > self.limits.max_tracking_error_rad:
            self.note(Intervention.TRACKING_ERROR)
            return False
        return True

    def anchor(self, state: RobotState, now_s: float) -> Vector:
        """Start from the measured joints, which `check_state` has passed: they are the command, at standstill."""
        self._position = np.array(state.joint_positions, float)
        self._velocity = np.zeros(7)
        self._time = self._start = now_s
        return self._position.copy()

    def speed_factor(self, now_s: float) -> float:
        """The ramp-in: 0 at a (re)start to 1 after `ramp_in_s`."""
        factor = round((now_s - self._start) / self.limits.ramp_in_s, CLOCK_RESOLUTION_DIGITS)
        if factor >= 1.0:
            return 1.0
        self.note(Intervention.RAMP_IN)
        return max(factor, 0.0)

    # --------------------------------------------------------------------------------------------- limits

    def limit_target(self, position: Vector) -> Vector:
        """The nearest position (3,) for the hand, tool down, inside the workspace box and clear of the table."""
        inside = clip(position, self._low, self._high)
        if differ(inside, position):
            self.note(Intervention.WORKSPACE)
        lowest = self._floor + self._kinematics.tool_length
        if inside[2] < lowest:
            self.note(Intervention.TABLE_CLEARANCE)
            inside[2] = lowest
        return inside

    def limit_twist(self, twist: Vector, factor: float) -> Vector:
        """The twist (6,) of the hand, slowed in its own direction to the speed limits times `factor`."""
        speed, turn = math.sqrt(twist[:3] @ twist[:3]), math.sqrt(twist[3:] @ twist[3:])
        excess = max(speed / self.limits.max_speed_m_s, turn / self.limits.max_turn_rad_s)
        if excess <= factor:
            return twist
        self.note(Intervention.CARTESIAN_SPEED)
        return twist * (factor / excess)

    def send(self, velocity: Vector, jacobian: Vector, now_s: float, period: float, factor: float) -> Vector:
        """The next command (7,): as near to the joint `velocity` (7,) as the limits allow over `period` seconds.

        `jacobian` (6, 7) is that of the hand at the last command, `factor` the ramp-in.
        """
        if self._position is None or period <= 0.0:
            raise ValueError("send needs a command to start from and a positive period")
        velocity = self._limit_joints(velocity, period, factor)
        velocity = self._limit_hand(velocity, jacobian[:3], period, self.limits.max_speed_m_s * factor)
        if (excess := self._excess_at_rest(velocity, period)) > self.limits.overshoot_m:
            braking = self._braking_velocity(period)
            if excess > self._excess_at_rest(braking, period):
                self.note(Intervention.STOPPING_DISTANCE)
                velocity = braking
        return self._leave(velocity, now_s, period)

    def brake(self, now_s: float, period: float) -> Vector:
        """The next command (7,) of an arm that comes to rest within its acceleration limits and then stays."""
        return self._leave(self._braking_velocity(period), now_s, period)

    def _limit_joints(self, velocity: Vector, period: float, factor: float) -> Vector:
        """The joint velocity nearest to `velocity` (7,) that keeps every joint limit."""
        assert self._position is not None
        peak = _largest(velocity / self._fastest)
        if peak > factor:  # all joints slow down alike, which keeps the direction of the hand
            self.note(Intervention.JOINT_VELOCITY)
            velocity = velocity * (factor / peak)
        change = self.limits.joint_acceleration_rad_s2 * period
        low, high = self._velocity - change, self._velocity + change
        smooth = clip(velocity, low, high)
        if differ(smooth, velocity):
            self.note(Intervention.JOINT_ACCELERATION)
        twice = 2.0 * self.limits.joint_acceleration_rad_s2
        # v is safe when a step at v and braking from v fit in the distance left: v * period + v^2 / 2a <= distance
        room = np.maximum(self._ends - self._sides * self._position, 0.0)
        up, down = np.sqrt(change * change + twice * room) - change
        safe = clip(smooth, -down, up)
        if differ(safe, smooth):
            self.note(Intervention.JOINT_POSITION)
        return safe

    def _limit_hand(self, velocity: Vector, jacobian: Vector, period: float, fastest: float) -> Vector:
        """`velocity` (7,) mixed with as little braking as brings the hand's speed down to `fastest`, if braking can.

        Both keep the joint limits, so every mixture does.
        """
        hand = jacobian @ velocity
        if hand @ hand <= fastest * fastest * 1.000001:
            return velocity
        self.note(Intervention.CARTESIAN_SPEED)
        braking = self._braking_velocity(period)
        slow = jacobian @ braking
        rest = hand - slow
        a, b, c = float(rest @ rest), float(slow @ rest), float(slow @ slow) - fastest * fastest
        if c >= 0.0:
            return braking
        mixed: Vector = braking + (math.sqrt(b * b - a * c) - b) / a * (velocity - braking)
        return mixed

    def _braking_velocity(self, period: float) -> Vector:
        change = self.limits.joint_acceleration_rad_s2 * period
        return np.sign(self._velocity) * np.maximum(np.abs(self._velocity) - change, 0.0)

    def _excess_at_rest(self, velocity: Vector, period: float) -> float:
        """How far outside workspace and table clearance (m) the hand comes to rest when it brakes after this step."""
        assert self._position is not None
        way = velocity * (period + np.abs(velocity) / (2.0 * self.limits.joint_acceleration_rad_s2))
        hand, rotation = self._kinematics.forward(self._position + way)
        lowest = min(0.0, float(rotation[2, 0])) * self._kinematics.tool_length + float(hand[2])
        outside = _largest(hand - clip(hand, self._low, self._high))
        return max(outside, self._floor - lowest)

    def _leave(self, velocity: Vector, now_s: float, period: float) -> Vector:
        assert self._position is not None
        self._velocity = velocity
        self._time = now_s
        moved = self._position + velocity * period
        self._position = clip(moved, self._kinematics.lower, self._kinematics.upper)
        return self._position.copy()


def clip(values: Vector, low: Vector | float, high: Vector | float) -> Vector:
    """np.clip without its overhead, which is most of the time for vectors of seven."""
    clipped: Vector = np.minimum(np.maximum(values, low), high)
    return clipped


def differ(a: Vector, b: Vector) -> bool:
    """Whether two vectors differ anywhere, several times faster than (a != b).any() for vectors of seven."""
    return bool(a.tolist() != b.tolist())


def _largest(values: Vector) -> float:
    largest: float = max(map(abs, values.tolist()))
    return largest


def _finite(values: Vector) -> bool:
    return all(map(math.isfinite, values.tolist()))
