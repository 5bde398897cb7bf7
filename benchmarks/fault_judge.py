"""What sim2real_node must not send: commands beyond the limits of the safety file, judged from outside."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np
from fault_graph import PROFILE, Recorder, Sample

from legion_sim2real.limits import SafetyLimits

JITTER_S = 0.002
"""A command is timed when it leaves sim2real_node, a moment after the guard made it."""
STATE_PERIODS = 2
"""In simulated time a command is timed by the newest state, which is so much newer at most than the one it answers."""
STATE_AGE_S = 0.1
"""A restart begins with a posture measured this shortly before it."""
LATE_STATE_AGE_S = 1.0
"""The same in simulated time, where a loaded machine may take that long on the way from measurement to command."""
RESTART_RAD = 0.03
"""What the arm may have moved on since the measurement that a restart begins with."""


def violations(recorder: Recorder, limits: SafetyLimits) -> tuple[str, ...]:
    """What sim2real_node sent that it must not, in words; `recorder` since the beginning of the motion."""
    kinematics = PROFILE.kinematics()
    fastest = kinematics.velocity * limits.joint_velocity_scale
    found: list[str] = []
    held: np.ndarray | None = None
    jitter_s = JITTER_S if recorder.exact else STATE_PERIODS / PROFILE.rate_hz
    for stream in _streams(recorder, limits.max_period_s + jitter_s):
        first, positions = stream[0], np.stack([command.positions for command in stream])
        leap = _distance(recorder, first)
        if leap > RESTART_RAD and (held is None or (first.positions != held).any()):
            found.append(f"restart {leap:.3f} rad away from the arm")
        held = positions[-1]
        beyond = np.maximum(kinematics.lower - positions, positions - kinematics.upper)
        found += _beyond(beyond, "position {:.4f} rad beyond its limit")
        if recorder.exact and len(stream) > 1:
            found += _too_quick(np.array([command.time_s for command in stream]), positions, fastest, limits)
    return tuple(found)


def _streams(recorder: Recorder, pause_s: float) -> list[list[Sample]]:
    """The commands, apart where there was a pause or the guard began anew with a measurement."""
    streams: list[list[Sample]] = []
    for command in recorder.sent:
        since_s = command.time_s - streams[-1][-1].time_s if streams else math.inf
        if 0.0 <= since_s <= pause_s and _distance(recorder, command) >= 1e-9:
            streams[-1].append(command)
        else:
            streams.append([command])
    return streams


def _too_quick(times: np.ndarray, positions: np.ndarray, fastest: np.ndarray, limits: SafetyLimits) -> list[str]:
    """Velocities and accelerations of a stream (n,), (n, 7) that begins at standstill beyond their limits."""
    period = np.diff(times, prepend=2.0 * times[0] - times[1])[:, None]
    velocity = np.diff(positions, axis=0, prepend=positions[:1]) / period
    slack = JITTER_S / period
    change, before = np.abs(np.diff(velocity, axis=0)), np.abs(velocity[:-1])
    braking = np.abs(velocity[1:]) < before
    acceleration = np.where(braking, limits.stop_acceleration_rad_s2, limits.joint_acceleration_rad_s2)
    # the mean velocities of two periods belong to their middles
    apart = (period[1:] + period[:-1]) / 2.0
    allowed = acceleration * apart * (1.0 + slack[1:]) + before * 2.0 * slack[1:]
    return [
        *_beyond(np.abs(velocity) - fastest * (1.0 + slack), "velocity {:.2f} rad/s beyond its limit"),
        *_beyond(change - allowed, "velocity step {:.2f} rad/s beyond what the acceleration limit allows"),
    ]


def _beyond(excess: np.ndarray, text: str) -> list[str]:
    """One text for each row with a number above zero."""
    return [text.format(row.max()) for row in excess if row.max() > 1e-6]


def _distance(recorder: Recorder, command: Sample) -> float:
    """How far a command is from the nearest posture measured shortly before it, rad."""
    end = bisect_right(recorder.joints, command.seen_s, key=lambda sample: sample.seen_s)
    age_s = STATE_AGE_S if recorder.exact else LATE_STATE_AGE_S
    begin = bisect_left(recorder.joints, command.seen_s - age_s, key=lambda sample: sample.seen_s)
    away = (float(np.abs(sample.positions - command.positions).max()) for sample in recorder.joints[begin:end])
    return min(away, default=math.inf)
