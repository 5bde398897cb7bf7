"""The watchdog: an arm that is too fast, commands that cease or are none; and nothing else is an alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_sim2real.watchdog import HANG_S, SPEED_MARGIN, Watchdog

FASTEST = (1.0, 2.0)
PERIOD_S = 0.02


def watch(watchdog: Watchdog, speeds: np.ndarray, steps: int = 20, since_s: float = 0.0) -> list[str]:
    """The alarms while the arm moves at constant speeds."""
    times = since_s + PERIOD_S * np.arange(steps)
    alarms = [alarm for t in times for alarm in (watchdog.measure(float(t), list(speeds * t)), watchdog.ceased())]
    return [alarm for alarm in alarms if alarm is not None]


@given(st.floats(-SPEED_MARGIN, SPEED_MARGIN), st.floats(-SPEED_MARGIN, SPEED_MARGIN))
def test_an_arm_within_its_limits_is_no_alarm(first: float, second: float) -> None:
    assert not watch(Watchdog(FASTEST), 0.999 * np.array((first, second)) * FASTEST)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_arm_that_is_too_fast_is_named(axis: int) -> None:
    speeds = np.zeros(2)
    speeds[axis] = 1.5 * FASTEST[axis]
    alarms = watch(Watchdog(FASTEST), speeds)
    assert alarms
    assert alarms[0].startswith(f"axis {axis + 1} moves at")


@pytest.mark.parametrize("gap_s", [1.0, -1.0])
def test_after_a_pause_or_a_leap_of_the_clock_the_arm_may_be_elsewhere(gap_s: float) -> None:
    watchdog = Watchdog(FASTEST)
    assert not watch(watchdog, np.zeros(2), since_s=10.0)
    assert watchdog.measure(10.4 + gap_s, [3.0, 3.0]) is None
    assert watchdog.measure(10.42 + gap_s, [3.0, 3.0]) is None


def test_a_leap_without_a_pause_is_an_alarm() -> None:
    watchdog = Watchdog(FASTEST)
    watch(watchdog, np.zeros(2))
    assert watchdog.measure(0.4, [3.0, 3.0]) is not None


def test_the_same_measurement_again_is_none() -> None:
    watchdog = Watchdog(FASTEST)
    watch(watchdog, np.zeros(2))
    assert watchdog.measure(0.38, [3.0, 3.0]) is None


def test_commands_that_cease_in_mid_motion_are_an_alarm_once() -> None:
    watchdog = Watchdog(FASTEST)
    for step in range(5):
        watchdog.measure(step * PERIOD_S, [0.0, 0.0])
        watchdog.command([0.01 * step, 0.0])
    alarms = watch(watchdog, np.zeros(2), steps=60, since_s=0.1)
    assert alarms == [f"commands ceased in mid-motion, {HANG_S:g} s ago"]


def test_a_backlog_of_measurements_and_commands_is_none() -> None:
    watchdog = Watchdog(FASTEST)
    for step in range(5):
        watchdog.measure(step * PERIOD_S, [0.0, 0.0])
        watchdog.command([0.01 * step, 0.0])
    times = 0.1 + PERIOD_S * np.arange(50)
    assert not any(watchdog.measure(float(t), [0.0, 0.0]) for t in times)
    assert not any(watchdog.command([0.01 * t, 0.0]) for t in times)
    assert watchdog.ceased() is None


def test_commands_that_cease_at_rest_are_none() -> None:
    watchdog = Watchdog(FASTEST)
    for step in range(5):
        watchdog.measure(step * PERIOD_S, [0.0, 0.0])
        watchdog.command([min(0.01 * step, 0.03), 0.0])
    assert not watch(watchdog, np.zeros(2), steps=60, since_s=0.1)


def test_commands_that_cease_with_the_robot_are_the_robots_pause() -> None:
    watchdog = Watchdog(FASTEST)
    for step in range(5):
        watchdog.measure(step * PERIOD_S, [0.0, 0.0])
        watchdog.command([0.01 * step, 0.0])
    assert not watch(watchdog, np.zeros(2), steps=60, since_s=3.0)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_command_must_be_finite(number: float) -> None:
    assert "not finite" in str(Watchdog(FASTEST).command([0.0, number]))
