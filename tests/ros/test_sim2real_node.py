"""sim2real_node: one command for each action, rest in silence, and an emergency stop that only a human clears."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_core.spaces import ACTION_FIELDS
from legion_ros import topics
from legion_ros.nodes.sim2real_node import ECHO_S, ECHOING, Sim2RealNode
from legion_ros.qos import LATCHED
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import named_vector
from legion_sim2real.robot import load_profile

PROFILE = load_profile("mujoco")
HOME = np.array(PROFILE.sim2real.posture_rad)
CONTROLLER = "forward_position_controller"
FORWARD = f"lbr/{CONTROLLER}/commands"


class Talk:
    """The sim2real node with everything it hears and says."""

    def __init__(self, bench: Any, **parameters: Any) -> None:
        self.bench = bench
        self.node = bench.start(Sim2RealNode, **parameters)
        self.commands = bench.listen(Float64MultiArray, FORWARD)
        self.grippers = bench.listen(Float64MultiArray, PROFILE.gripper.command)
        self.reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
        self._joints = bench.talk(JointState, "lbr/joint_states")
        self._action = bench.talk(JointState, topics.ACTION)

    def up(self) -> Talk:
        """Active, once it has heard that no stop was engaged before."""
        self.bench.talk(Bool, topics.E_STOP)(Bool(data=False))
        assert self.bench.until(lambda: self.node.active)
        return self

    def now(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def joints(self, ns: int, values: Any = HOME) -> None:
        self._joints(named_vector(from_ns(ns), PROFILE.joint_names, values))

    def action(self, ns: int, values: Any = (0.5, 0.0, 0.0, 1.0)) -> None:
        self._action(named_vector(from_ns(ns), ACTION_FIELDS, values))

    def step(self, values: Any = (0.5, 0.0, 0.0, 1.0)) -> bool:
        """One joint state with the action that answers it; whether a command came of it."""
        count, now = len(self.commands), self.now()
        follow = np.array(self.commands[-1].data) if self.commands else HOME
        self.joints(now, follow)
        self.action(now, values)
        return bool(self.bench.until(lambda: len(self.commands) > count, 0.5))

    def value(self, key: str) -> str:
        pairs = [pair for report in self.reports for status in report.status for pair in status.values]
        return next((pair.value for pair in reversed(pairs) if pair.key == key), "")


def test_actions_become_commands_that_move_the_arm(bench: Any) -> None:
    talk = Talk(bench).up()
    forward, calibration = PROFILE.kinematics().forward, PROFILE.load_calibration()

    def moved() -> np.ndarray:
        hands = [calibration.to_sim(forward(np.array(talk.commands[i].data)).position) for i in (0, -1)]
        return np.asarray(hands[1] - hands[0])

    assert bench.until(lambda: talk.step() and moved()[0] > 0.005)
    assert np.array(talk.commands[0].data) == pytest.approx(HOME)
    assert abs(moved()[1]) < 0.2 * moved()[0]
    assert talk.grippers[-1].data[0] == 1.0


def test_an_action_that_is_quicker_than_its_joint_state_waits_for_it(bench: Any) -> None:
    talk = Talk(bench).up()

    def quick_action() -> bool:
        now = talk.now()
        talk.action(now)
        bench.settle(0.02)
        assert not talk.commands
        talk.joints(now)
        return bool(bench.until(lambda: bool(talk.commands), 0.3))

    assert bench.until(quick_action), "on a loaded machine one action may be too old by then, but not every one"


def test_silence_brings_the_arm_to_rest(bench: Any) -> None:
    talk = Talk(bench).up()
    for _ in range(10):
        talk.step()
    count = len(talk.commands)
    assert bench.until(lambda: len(talk.commands) > count), "silence must be answered with a command"
    bench.settle(0.5)
    held = talk.commands[count:]
    assert list(held[-1].data) == list(held[-2].data) if len(held) > 1 else True
    assert len(held) < 15, "an arm at rest needs no more commands"


def test_it_says_nothing_before_the_first_action(bench: Any) -> None:
    talk = Talk(bench).up()
    talk.joints(talk.now())
    bench.settle(0.4)
    assert not talk.commands


@pytest.mark.parametrize("values", [(math.nan, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, math.inf)])
def test_an_action_that_is_not_finite_moves_nothing_and_is_counted(bench: Any, values: Any) -> None:
    talk = Talk(bench).up()
    for _ in range(10):
        talk.step(values)
    assert all(np.allclose(command.data, HOME) for command in talk.commands)
    assert bench.until(lambda: int(talk.value("guard.non_finite_action") or 0) >= 1)


def test_joint_states_that_lack_a_joint_are_named_and_nothing_moves(bench: Any) -> None:
    talk = Talk(bench).up()
    talk._joints(named_vector(from_ns(talk.now()), PROFILE.joint_names[1:], HOME[1:]))
    talk.action(talk.now())
    assert bench.until(
        lambda: any("lacks lbr_A1" in status.message for report in talk.reports for status in report.status)
    )
    assert not talk.commands


def test_only_the_service_clears_the_emergency_stop(bench: Any) -> None:
    talk = Talk(bench).up()
    states = bench.listen(Bool, topics.E_STOP, LATCHED)
    for _ in range(8):
        talk.step()
    bench.talk(Bool, topics.E_STOP)(Bool(data=True))
    assert bench.until(lambda: any(state.data for state in states))
    bench.settle(0.3)
    rest = np.array(talk.commands[-1].data)
    for _ in range(5):
        talk.step()
    bench.talk(Bool, topics.E_STOP)(Bool(data=False))
    bench.settle(0.1)
    for _ in range(5):
        talk.step()
    assert np.allclose(talk.commands[-1].data, rest, atol=1e-9)
    assert bench.until(lambda: bench.call(SetBool, topics.E_STOP, SetBool.Request(data=False)).success)
    assert bench.until(lambda: talk.step() and np.abs(np.array(talk.commands[-1].data) - rest).max() > 1e-3)


def test_the_service_engages_it_too(bench: Any) -> None:
    talk = Talk(bench).up()
    states = bench.listen(Bool, topics.E_STOP, LATCHED)
    assert bench.call(SetBool, topics.E_STOP, SetBool.Request(data=True)).success
    assert bench.until(lambda: states and states[-1].data)
    assert bench.until(lambda: talk.value("e_stop") == "True")


def test_a_trajectory_controller_gets_trajectories(bench: Any) -> None:
    talk = Talk(bench, command_interface="joint_trajectory").up()
    trajectories = bench.listen(JointTrajectory, "lbr/joint_trajectory_controller/joint_trajectory")
    bench.until(lambda: talk.node.count_subscribers("lbr/joint_trajectory_controller/joint_trajectory") > 0)
    now = talk.now()
    talk.joints(now)
    talk.action(now)
    assert bench.until(lambda: trajectories)
    assert tuple(trajectories[0].joint_names) == PROFILE.joint_names
    assert np.array(trajectories[0].points[0].positions) == pytest.approx(HOME)
    assert not talk.commands


def test_between_actions_the_profile_may_ask_for_more_commands(bench: Any) -> None:
    talk = Talk(bench, robot="gazebo")
    bench.controller()
    talk.up()
    steps = 0

    def more_than_two_a_step() -> bool:
        nonlocal steps
        steps += talk.step()
        bench.settle(0.05)
        return len(talk.commands) > 2 * steps > 4

    assert bench.until(more_than_two_a_step)


def test_the_target_is_published_for_who_listens(bench: Any) -> None:
    talk = Talk(bench).up()
    targets = bench.listen(PoseStamped, topics.TARGET_POSE)
    bench.until(lambda: talk.node.count_subscribers(topics.TARGET_POSE) > 0)
    assert bench.until(lambda: talk.step() and bool(targets))
    assert targets[0].header.frame_id == "lbr_link_0"


def test_a_rate_that_the_safety_limits_do_not_allow_is_an_error(bench: Any) -> None:
    with pytest.raises(ConfigurationError, match="action_timeout_s"):
        bench.start(Sim2RealNode, rate_hz=2.0)


def test_an_action_that_comes_twice_or_late_is_obeyed_once(bench: Any) -> None:
    talk = Talk(bench).up()
    for _ in range(3):
        talk.step()
    now = talk.now()
    talk.joints(now)
    for ns in (now, now, now - 20_000_000):
        talk.action(ns)
        bench.settle(0.02)
    bench.settle(0.6)
    assert int(talk.value("commands")) == 4


def test_a_stop_that_was_engaged_before_is_heard_before_anything_moves(bench: Any) -> None:
    talk = Talk(bench)
    assert not talk.node.active
    assert not bench.call(SetBool, topics.E_STOP, SetBool.Request(data=False)).success, "what is not known yet"
    watchdog = Node("watchdog", use_global_arguments=False)
    watchdog.create_publisher(Bool, topics.E_STOP, LATCHED).publish(Bool(data=True))
    bench.add(watchdog)
    assert bench.until(lambda: talk.node.active)
    for _ in range(5):
        talk.step()
    assert all(np.allclose(command.data, HOME) for command in talk.commands)
    assert bench.until(lambda: talk.value("e_stop") == "True")
    assert bench.until(lambda: bench.call(SetBool, topics.E_STOP, SetBool.Request(data=False)).success)


def test_a_stop_is_not_cleared_while_its_echo_may_be_on_its_way(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(bench).up()
    now_s = 100.0
    monkeypatch.setattr(talk.node, "_steady_s", lambda: now_s)
    assert bench.call(SetBool, topics.E_STOP, SetBool.Request(data=True)).success
    now_s += 0.04
    refused = bench.call(SetBool, topics.E_STOP, SetBool.Request(data=False))
    assert (refused.success, refused.message) == (False, ECHOING)
    bench.talk(Bool, topics.E_STOP)(Bool(data=True))  # as watchdog_node does by then
    bench.settle()
    now_s += ECHO_S
    assert bench.call(SetBool, topics.E_STOP, SetBool.Request(data=False)).success
    bench.settle()
    assert not talk.node._sim2real.guard.e_stopped  # type: ignore[attr-defined]


def test_whoever_denies_a_stop_is_contradicted(bench: Any) -> None:
    talk = Talk(bench).up()
    states = bench.listen(Bool, topics.E_STOP, LATCHED)
    assert bench.call(SetBool, topics.E_STOP, SetBool.Request(data=True)).success
    assert bench.until(lambda: states and states[-1].data)
    bench.talk(Bool, topics.E_STOP)(Bool(data=False))
    assert bench.until(lambda: len(states) > 1 and states[-1].data)
    assert bench.until(lambda: talk.value("stop_reason") == "operator")


@pytest.fixture
def with_controller(tmp_path: Path) -> str:
    """A profile whose commands are for a controller of ros2_control."""
    text = resource("config/robots/mujoco.yaml").read_text(encoding="utf-8")
    file = tmp_path / "arm.yaml"
    wanted = text.replace("  forward_position: null", f"  forward_position: {CONTROLLER}")
    file.write_text(wanted, encoding="utf-8")
    assert wanted != text
    return str(file)


def test_it_waits_for_the_controller_and_holds_when_it_vanishes(bench: Any, with_controller: str) -> None:
    talk = Talk(bench, robot=with_controller)
    bench.talk(Bool, topics.E_STOP)(Bool(data=False))
    message = f"controller {CONTROLLER}: nobody of that name listens"
    assert bench.until(lambda: any(message in status.message for r in talk.reports for status in r.status))
    for _ in range(3):
        talk.step()
    assert not talk.commands
    controller = bench.controller()
    assert bench.until(lambda: talk.node.active and talk.step())
    bench.remove(controller)
    assert bench.until(lambda: not talk.node.active)
    bench.settle(0.3)
    rest = list(talk.commands[-1].data)
    for _ in range(5):
        talk.step()
    assert list(talk.commands[-1].data) == rest


def test_a_lifecycle_manager_is_refused_while_the_controller_is_absent(bench: Any, with_controller: str) -> None:
    node = bench.start(Sim2RealNode, robot=with_controller, autostart=False)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    bench.talk(Bool, topics.E_STOP)(Bool(data=False))
    bench.settle(0.2)
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert not node.active


def test_deactivation_brings_the_arm_to_rest(bench: Any) -> None:
    talk = Talk(bench).up()
    for _ in range(8):
        talk.step()
    stop: Callable[[], Any] = talk.node.trigger_deactivate
    stop()
    bench.settle(0.3)
    rest = list(talk.commands[-1].data)
    for _ in range(5):
        talk.step()
    assert list(talk.commands[-1].data) == rest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_ended_brakes_first(bench: Any, number: signal.Signals) -> None:
    bench.start(lambda: Node("driver"))
    commands = bench.listen(Float64MultiArray, FORWARD)
    with subprocess.Popen([sys.executable, "-m", "legion_ros.nodes.sim2real_node"]) as process:
        try:
            send_state = bench.talk(JointState, "lbr/joint_states")
            send_action = bench.talk(JointState, topics.ACTION)
            bench.talk(Bool, topics.E_STOP)(Bool(data=False))

            def way() -> float:
                """What the last command was further than the one before (rad)."""
                return float(np.abs(np.subtract(commands[-1].data, commands[-2].data)).max())

            def moves() -> bool:
                now, count = from_ns(bench.probe.get_clock().now().nanoseconds), len(commands)
                send_state(named_vector(now, PROFILE.joint_names, np.array(commands[-1].data) if count else HOME))
                send_action(named_vector(now, ACTION_FIELDS, (0.5, 0.0, 0.0, 1.0)))
                bench.until(lambda: len(commands) > count, 0.5)
                return count > 1 and way() > 1e-4

            assert bench.until(moves)
            process.send_signal(number)
            assert bench.until(lambda: process.poll() is not None)
            assert bench.until(lambda: way() == 0.0), "the last commands that come say that the arm rests"
            assert process.returncode == 0
        finally:
            process.kill()
