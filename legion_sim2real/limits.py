"""The limits of the safety guard: what stands in a safety file, checked key by key."""

from __future__ import annotations

from dataclasses import dataclass

from legion_core.config import require
from legion_sim2real.collision import Box
from legion_sim2real.interventions import HOLDS

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of the guard; every one must be given, and none can be switched off. World frame, SI units.

    Times: `action_timeout_s`, `joint_state_timeout_s` and `object_timeout_s` are the greatest ages by stamp,
    `future_tolerance_s` is how far ahead of the clock a stamp may be, `max_period_s` the longest time between two
    commands before the stream counts as interrupted, `ramp_in_s` the time from a (re)start to full speed.
    Space: the hand stays in the box `workspace_low_m`..`workspace_high_m`, the tool centre `table_clearance_m` above
    `table_height_m`; a braking arm comes to rest at most `overshoot_m` beyond. The whole arm keeps `self_clearance_m`
    from itself and `obstacle_clearance_m` from each of the `obstacles`; it slows down when it would come nearer than
    `slow_distance_m` beyond that. Distances are computed `collision_rate_hz` times a second at most.
    Motion: `max_speed_m_s` and `max_turn_rad_s` of the hand; `joint_velocity_scale` of the datasheet's speeds,
    `joint_acceleration_rad_s2`, `joint_jerk_rad_s3`, `joint_margin_rad` kept from each end stop,
    `max_tracking_error_rad` between command and measurement. A hold or a stop brakes with `stop_acceleration_rad_s2`
    and `stop_jerk_rad_s3`, which are at least as high. Where the smallest singular value of the Jacobian is below
    `singular_value_threshold`, inverse kinematics is damped by up to `max_damping`.
    Faults: the interventions in `latch` stop the arm until somebody resets it, instead of holding it while they last.
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
    obstacles: tuple[Box, ...]
    self_clearance_m: float
    obstacle_clearance_m: float
    slow_distance_m: float
    collision_rate_hz: float
    max_speed_m_s: float
    max_turn_rad_s: float
    joint_velocity_scale: float
    joint_acceleration_rad_s2: float
    joint_jerk_rad_s3: float
    stop_acceleration_rad_s2: float
    stop_jerk_rad_s3: float
    joint_margin_rad: float
    max_tracking_error_rad: float
    singular_value_threshold: float
    max_damping: float
    latch: tuple[str, ...]

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
            ("self_clearance_m", 0.001, 0.1),
            ("obstacle_clearance_m", 0.001, 0.5),
            ("slow_distance_m", 0.005, 0.5),
            ("collision_rate_hz", 1.0, 1000.0),
            ("max_speed_m_s", 0.01, 1.5),
            ("max_turn_rad_s", 0.01, 6.0),
            ("joint_velocity_scale", 0.01, 1.0),
            ("joint_acceleration_rad_s2", 0.1, 100.0),
            ("joint_jerk_rad_s3", 1.0, 20_000.0),
            ("stop_acceleration_rad_s2", self.joint_acceleration_rad_s2, 150.0),
            ("stop_jerk_rad_s3", self.joint_jerk_rad_s3, 50_000.0),
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
        names = sorted(intervention.value for intervention in HOLDS)
        require(set(self.latch) <= set(names), "latch", list(self.latch), f"any of {', '.join(names)}")
