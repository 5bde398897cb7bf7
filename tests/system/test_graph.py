"""The running graph: a sentence moves the arm, and whatever goes wrong stops it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from running import deployment

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray

from legion_core.spaces import ACTION_FIELDS
from legion_ros import topics
from legion_ros.qos import EVENT
from legion_ros.stamps import from_ns, to_seconds
from legion_ros.vector_messages import float64_array, named_vector

COMMANDS = "lbr/forward_position_controller/commands"
SPEED = 0.2
"""Simulated seconds a second: leaves a loaded machine time to look closely."""
STOP_S = 0.1
"""After an incident nothing may command the arm to move for longer than this, in the robot's time."""
SETTLE_S = 0.5
"""The compliant servos of the simulated arm then need this long to come to the position they hold."""
LEAP_S = 0.5
"""A simulator's clock leaps by more when it begins anew."""
REST_RAD = 0.01
"""What an arm at rest may move in a fifth of a second."""


class Arm:
    """The simulated arm as seen on its topics: times in seconds of the robot, positions in rad."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.times: list[float] = []
        self.positions: list[np.ndarray] = []
        self.commands: list[tuple[float, list[float]]] = []
        self._subscriptions = [
            client.node.create_subscription(JointState, "lbr/joint_states", self._note, EVENT),
            client.node.create_subscription(Float64MultiArray, COMMANDS, self._note_command, EVENT),
        ]
        assert client.wait(lambda: len(self.times) > 2, 10.0)

    def _note(self, message: JointState) -> None:
        self.times.append(to_seconds(message.header.stamp))
        self.positions.append(np.array(message.position))

    def _note_command(self, message: Float64MultiArray) -> None:
        if self.times:
            self.commands.append((self.times[-1], list(message.data)))

    def travel(self, begin_s: float, end_s: float) -> float:
        """The largest joint movement between two times, rad."""
        window = [q for t, q in zip(self.times, self.positions, strict=True) if begin_s <= t <= end_s]
        assert len(window) > 1, "no joint states in the window"
        return float(np.ptp(np.stack(window), axis=0).max())

    def wait_for_motion(self) -> None:
        """Wait until the arm is well under way."""
        start = len(self.times)

        def moving() -> bool:
            return len(self.times) - start > 10 and self.travel(self.times[-1] - 0.1, self.times[-1]) > 0.03

        assert self._client.wait(moving, 20.0), "the arm does not move"

    def wait_for_scene(self, sentence: str) -> None:
        """Say that, and wait until the simulator shows another task's scene: its clock leaps, the arm begins anew."""
        first = len(self.times) - 1
        self._client.say(sentence)
        assert self._client.wait(lambda: bool((np.diff(self.times[first:]) > LEAP_S).any()), 20.0), "no new scene"

    def pass_time(self, seconds: float) -> None:
        """Wait that long in the robot's time."""
        end = self.times[-1] + seconds
        assert self._client.wait(lambda: self.times[-1] >= end, 30.0)

    def assert_rests(self) -> None:
        """It does not move now."""
        begin = self.times[-1]
        self.pass_time(0.2)
        assert self.travel(begin, self.times[-1]) < REST_RAD

    def assert_stops(self, incident_s: float) -> None:
        """From STOP_S after the incident the command stays, and the arm comes to rest."""
        self.pass_time(SETTLE_S)
        late = [q for t, q in self.commands if t > incident_s + STOP_S]
        before = [q for t, q in self.commands if t <= incident_s + STOP_S]
        assert all(q == (late or before)[-1] for q in late), "the arm is commanded to move on"
        self.assert_rests()


@pytest.fixture(scope="module")
def graph() -> Iterator[tuple[Any, Any]]:
    with deployment(real_time_factor=SPEED) as running:
        yield running


@pytest.fixture
def client(graph: tuple[Any, Any]) -> Iterator[Any]:
    """The operator of a graph that is up, without stop and without task."""
    starter, operator = graph
    for _ in starter.wait_ready():
        pass
    yield operator
    operator.e_stop(False)
    operator.say("")
    operator.spin(SETTLE_S / SPEED)


@pytest.fixture
def arm(client: Any) -> Arm:
    return Arm(client)


def test_a_sentence_ends_in_success(client: Any) -> None:
    client.episode = None
    reply = client.say("please close the drawer")
    assert reply.accepted
    assert reply.text.startswith("drawer-close")
    assert client.wait(lambda: client.episode is not None and client.episode.success, 60.0)
    assert client.task == "drawer-close"


def test_an_unknown_sentence_moves_nothing(client: Any, arm: Arm) -> None:
    reply = client.say("make me a cup of tea")
    assert not reply.accepted
    assert "the nearest tasks are" in reply.text
    arm.assert_rests()


def test_the_emergency_stop_stops_the_arm_in_mid_motion(client: Any, arm: Arm) -> None:
    client.say("open the door")
    arm.wait_for_motion()
    client.e_stop(True)
    arm.assert_stops(arm.times[-1])
    arm.wait_for_scene("open the window")
    arm.assert_rests()
    client.e_stop(False)
    arm.wait_for_motion()


def test_anybody_can_engage_the_emergency_stop(client: Any, arm: Arm) -> None:
    publisher = client.node.create_publisher(Bool, topics.E_STOP, 10)
    client.say("open the door")
    arm.wait_for_motion()
    assert client.wait(lambda: publisher.get_subscription_count() > 0, 5.0)
    publisher.publish(Bool(data=True))
    assert client.wait(lambda: client.status_value("sim2real_node", "e_stop") == "True", 5.0)
    arm.assert_stops(arm.times[-1])


@pytest.mark.parametrize("node", ["policy_node", "real2sim_node", "sim2real_node"])
def test_a_node_that_dies_stops_the_arm_and_starts_again(
    graph: tuple[Any, Any], client: Any, arm: Arm, node: str
) -> None:
    starter, _ = graph
    client.say("open the door")
    client.wait(lambda: client.status_value("mujoco_node", "task") == "door-open", 5.0)
    arm.wait_for_motion()
    victim = starter[node].pid
    os.kill(victim, signal.SIGKILL)
    arm.assert_stops(arm.times[-1])  # nobody has looked after the processes yet
    assert client.wait(lambda: bool(starter.poll()) or starter[node].pid not in (None, victim), 10.0)
    for _ in starter.wait_ready():
        pass
    arm.wait_for_scene("close the drawer")
    if node == "sim2real_node":  # it left the arm in mid-motion: the watchdog wants a human to look
        assert client.wait(lambda: client.status_value("sim2real_node", "e_stop") == "True", 10.0)
        arm.assert_rests()
        client.e_stop(False)
    arm.wait_for_motion()


def test_numbers_that_are_none_stop_the_arm(client: Any, arm: Arm) -> None:
    actions = client.node.create_publisher(JointState, topics.ACTION, 10)
    commands = client.node.create_publisher(Float64MultiArray, COMMANDS, 10)
    assert client.wait(lambda: actions.get_subscription_count() > 0 and commands.get_subscription_count() > 0, 5.0)
    for _ in range(5):
        stamp = from_ns(round(arm.times[-1] * 1e9))
        actions.publish(named_vector(stamp, ACTION_FIELDS, (np.nan, 1.0, 0.0, 0.0)))
        commands.publish(float64_array([np.nan] * 7))
        commands.publish(float64_array([0.0] * 6))
        arm.assert_rests()
    assert client.wait(lambda: int(client.status_value("sim2real_node", "guard.non_finite_action", 0)) > 0, 5.0)
    assert int(client.status_value("mujoco_node", "bad_command_count", 0)) >= 1
    assert client.wait(lambda: client.status_value("watchdog_node", "e_stop") == "True", 5.0)
    for publisher in (actions, commands):
        client.node.destroy_publisher(publisher)
