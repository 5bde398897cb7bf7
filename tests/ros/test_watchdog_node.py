"""watchdog_node: engages the emergency stop from outside, and keeps it for nodes that start later."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray

from legion_ros import topics
from legion_ros.nodes.watchdog_node import CONTRADICTION_S, REPEAT_S, WatchdogNode
from legion_ros.qos import LATCHED
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import float64_array, named_vector
from legion_sim2real.robot import load_profile

PROFILE = load_profile("mujoco")
JOINTS, COMMANDS = PROFILE.topics.joint_states, PROFILE.topics.position_command
PERIOD_NS = 20_000_000


class Watched:
    """The watchdog with an arm, and with who commands it."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.node = bench.start(WatchdogNode)
        self.stops = bench.listen(Bool, topics.E_STOP, LATCHED)
        self.reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
        self._joints = bench.talk(JointState, JOINTS)
        self.command = bench.talk(Float64MultiArray, COMMANDS)
        self._ns = 10**9

    def step(self, joint: float, command: float | None = None) -> None:
        """One period in which all joints stand at `joint` and, where it is given, are commanded to `command`."""
        self._ns += PERIOD_NS
        self._joints(named_vector(from_ns(self._ns), PROFILE.joint_names, np.full(7, joint)))
        self.bench.settle(0.01)
        if command is not None:
            self.command(float64_array(np.full(7, command)))
            self.bench.settle(0.01)

    @property
    def engaged(self) -> bool:
        return bool(self.stops) and self.stops[-1].data

    def reason(self) -> str:
        self.bench.settle(0.1)
        return str(self.reports[-1].status[0].message)


def test_ordinary_motion_and_a_new_episode_are_no_alarm(bench: Any) -> None:
    watched = Watched(bench)
    for step in range(20):
        watched.step(0.01 * step, 0.01 * step + 0.05)
    watched._ns += 10**9
    for _ in range(20):
        watched.step(-1.0)
    assert bench.until(lambda: bool(watched.stops))
    assert not watched.engaged


def test_an_arm_that_is_too_fast_is_stopped(bench: Any) -> None:
    watched = Watched(bench)
    for step in range(20):
        watched.step(0.1 * step)
    assert bench.until(lambda: watched.engaged)
    assert "axis 1 moves at 5.00/s" in watched.reason()


def test_commands_that_cease_in_mid_motion_stop_the_arm(bench: Any) -> None:
    watched = Watched(bench)
    for step in range(5):
        watched.step(0.0, 0.01 * step)
    for _ in range(30):
        watched.step(0.0)
    assert bench.until(lambda: watched.engaged)
    assert "ceased in mid-motion" in watched.reason()


def test_a_command_that_is_no_number_stops_the_arm(bench: Any) -> None:
    watched = Watched(bench)
    watched.step(0.0, math.nan)
    assert bench.until(lambda: watched.engaged)


def test_a_second_source_of_commands_stops_the_arm(bench: Any) -> None:
    watched = Watched(bench)
    other = Node("other", use_global_arguments=False)
    bench.add(other)
    other.create_publisher(Float64MultiArray, COMMANDS, 10)

    def engaged() -> bool:
        watched.step(0.0, 0.0)
        return watched.engaged

    assert bench.until(engaged)
    assert "2 publishers of" in watched.reason()
    assert "/other, /probe" in watched.reason()


def test_it_keeps_a_stop_for_who_comes_later_until_it_is_cleared(bench: Any) -> None:
    watched = Watched(bench)
    say = bench.talk(Bool, topics.E_STOP)
    say(Bool(data=True))
    assert bench.until(lambda: watched.engaged)
    later = bench.listen(Bool, topics.E_STOP, LATCHED)
    assert bench.until(lambda: bool(later))
    assert later[0].data
    say(Bool(data=False))
    assert bench.until(lambda: not later[-1].data)


def test_a_stop_is_cleared_when_nobody_contradicts(bench: Any) -> None:
    watched = Watched(bench)
    say = bench.talk(Bool, topics.E_STOP)
    say(Bool(data=True))
    assert bench.until(lambda: watched.engaged)
    watched.stops.clear()
    for data in (False, True):  # somebody denies it, and sim2real_node contradicts
        say(Bool(data=data))
    bench.settle(4 * CONTRADICTION_S)
    assert not watched.stops, "the echo of a denial would be contradicted again, and so on"
    say(Bool(data=False))
    assert bench.until(lambda: bool(watched.stops) and not watched.engaged)


def test_a_stop_is_said_again_until_another_node_says_it_too(bench: Any) -> None:
    watched = Watched(bench)
    say = bench.talk(Bool, topics.E_STOP)
    watched.step(0.0, math.nan)
    assert bench.until(lambda: sum(stop.data for stop in watched.stops) > 3), "its own echo is no answer"
    say(Bool(data=True))
    bench.settle(REPEAT_S)
    watched.stops.clear()
    bench.settle(3 * REPEAT_S)
    assert not watched.stops


def test_word_of_a_stop_that_was_cleared_meanwhile_is_not_repeated(bench: Any) -> None:
    watched = Watched(bench)
    say = bench.talk(Bool, topics.E_STOP)
    assert bench.until(lambda: bool(watched.stops))
    watched.stops.clear()
    for data in (True, False):  # both before it looks
        say(Bool(data=data))
    bench.settle(4 * CONTRADICTION_S)
    assert not any(stop.data for stop in watched.stops), "sim2real_node would engage it again"
    assert not watched.node._engaged  # type: ignore[attr-defined]


def test_an_alarm_just_after_a_stop_was_cleared_stops_the_arm_again(bench: Any) -> None:
    watched = Watched(bench)
    say = bench.talk(Bool, topics.E_STOP)
    say(Bool(data=True))
    assert bench.until(lambda: watched.engaged)
    bench.settle(REPEAT_S)
    watched.stops.clear()
    say(Bool(data=False))
    bench.settle(CONTRADICTION_S / 4)
    watched.command(float64_array(np.full(7, math.nan)))
    assert bench.until(lambda: watched.engaged)
    assert "not finite" in watched.reason()
