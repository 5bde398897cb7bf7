"""policy_node: acts once on each observation of a task, and on nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float32MultiArray, String

from legion_core.bundle import PolicyBundle
from legion_core.errors import BundleError
from legion_core.policy import LegionPolicy
from legion_core.spaces import DEFAULT_FIELDS
from legion_ros import topics
from legion_ros.nodes.policy_node import UNFAMILIAR_STEPS, PolicyNode
from legion_ros.qos import LATCHED
from legion_ros.vector_messages import float32_array, named_vector


class Talk:
    """The policy node with everything it hears and says."""

    def __init__(self, bench: Any, folder: Path, **parameters: Any) -> None:
        self.bench = bench
        self.node: Node = bench.start(PolicyNode, policy=folder, **parameters)
        self.actions = bench.listen(JointState, topics.ACTION)
        self.reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
        self.observe_message = bench.talk(JointState, topics.OBSERVATION)
        self.embedding = bench.talk(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
        self.task = bench.talk(String, topics.TASK, LATCHED)
        self.e_stop = bench.talk(Bool, topics.E_STOP, LATCHED)

    def observe(self, values: Any = None, names: Any = DEFAULT_FIELDS) -> JointState:
        now = self.node.get_clock().now().to_msg()
        message = named_vector(now, names, np.linspace(-0.1, 0.8, len(names)) if values is None else values)
        self.observe_message(message)
        return message

    def problem(self) -> str:
        messages = [status.message for report in self.reports for status in report.status if status.level > b"\x00"]
        return " ".join(messages)


@pytest.fixture
def talk(bench: Any, bundle_folder: Path) -> Talk:
    """A node for which nothing is too old, as this machine may be slow."""
    return Talk(bench, bundle_folder, max_observation_age_s=5.0)


def test_it_acts_as_the_policy_does_with_the_stamp_of_the_observation(talk: Talk, random_bundle: PolicyBundle) -> None:
    embedding = random_bundle.embedding("push")
    talk.embedding(float32_array(embedding))
    talk.bench.settle()
    sent = talk.observe()
    assert talk.bench.until(lambda: talk.actions)
    expected = LegionPolicy(random_bundle).act(np.array(sent.position, np.float32), embedding).action
    assert np.array(talk.actions[0].position, np.float32).tobytes() == expected.tobytes()
    assert talk.actions[0].header.stamp == sent.header.stamp
    assert list(talk.actions[0].name) == ["dx", "dy", "dz", "gripper"]


def test_it_says_how_familiar_the_situation_is(talk: Talk, random_bundle: PolicyBundle) -> None:
    embedding = random_bundle.embedding("push")
    talk.embedding(float32_array(embedding))
    talk.bench.settle()

    def act(times: int) -> None:
        for _ in range(times):
            count = len(talk.actions)
            sent = talk.observe()
            assert talk.bench.until(lambda count=count: len(talk.actions) > count)
        step = LegionPolicy(random_bundle).act(np.array(sent.position, np.float32), embedding)
        component = int(step.responsibilities.argmax())
        task = random_bundle.manifest.components[component]
        shown = {"log_likelihood": f"{step.log_likelihood:.6g}", "component": f"{component} ({task})"}

        def reported() -> bool:
            return any(
                shown.items() <= {pair.key: pair.value for pair in status.values}.items()
                for report in talk.reports
                for status in report.status
            )

        assert talk.bench.until(reported)

    talk.node._policy._familiar = -1e9  # type: ignore[attr-defined]
    act(UNFAMILIAR_STEPS)
    assert talk.problem() == ""
    talk.node._policy._familiar = 1e9  # type: ignore[attr-defined]
    act(UNFAMILIAR_STEPS - 1)
    assert talk.problem() == ""
    act(1)
    assert talk.bench.until(lambda: "unlike training" in talk.problem())


def test_an_observation_in_another_order_gives_the_same_action(talk: Talk, random_bundle: PolicyBundle) -> None:
    talk.embedding(float32_array(random_bundle.embedding("push")))
    talk.bench.settle()
    sent = talk.observe()
    names, values = (*reversed(sent.name), "extra"), [*reversed(sent.position), 7.0]
    assert talk.bench.until(lambda: len(talk.actions) == 1)
    talk.observe(values, names)
    assert talk.bench.until(lambda: len(talk.actions) == 2)
    assert talk.actions[0].position == talk.actions[1].position


def test_without_a_task_it_is_silent_and_begins_with_the_newest_observation(
    talk: Talk, random_bundle: PolicyBundle
) -> None:
    talk.observe()
    sent = talk.observe()
    talk.bench.settle(0.15)
    assert not talk.actions
    talk.embedding(float32_array(random_bundle.embedding("reach")))
    assert talk.bench.until(lambda: talk.actions)
    assert talk.actions[0].header.stamp == sent.header.stamp
    talk.bench.settle()
    assert len(talk.actions) == 1


@pytest.mark.parametrize("empty", ["task", "embedding"])
def test_an_empty_task_or_embedding_stops_it(talk: Talk, random_bundle: PolicyBundle, empty: str) -> None:
    talk.embedding(float32_array(random_bundle.embedding("reach")))
    talk.bench.settle()
    if empty == "task":
        talk.task(String(data=""))
    else:
        talk.embedding(float32_array(()))
    talk.bench.settle()
    talk.observe()
    talk.bench.settle()
    assert not talk.actions


def test_it_does_not_act_under_emergency_stop(talk: Talk, random_bundle: PolicyBundle) -> None:
    talk.embedding(float32_array(random_bundle.embedding("reach")))
    talk.e_stop(Bool(data=True))
    talk.bench.settle()
    talk.observe()
    talk.bench.settle()
    assert not talk.actions
    talk.e_stop(Bool(data=False))
    talk.bench.settle()
    talk.observe()
    assert talk.bench.until(lambda: talk.actions)


def test_a_wrong_embedding_is_named_and_stops_it(talk: Talk, random_bundle: PolicyBundle) -> None:
    talk.embedding(float32_array(random_bundle.embedding("reach")))
    talk.embedding(float32_array(np.zeros(768)))
    assert talk.bench.until(lambda: "768 numbers" in talk.problem() and "384" in talk.problem())
    talk.observe()
    talk.bench.settle()
    assert not talk.actions


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([math.nan] * 13, DEFAULT_FIELDS, "not finite: hand_x = nan"),
        ([0.0] * 12, DEFAULT_FIELDS[1:], "lacks hand_x"),
        ([0.0] * 5, DEFAULT_FIELDS, "13 names but 5 values"),
    ],
)
def test_a_bad_observation_is_named_and_not_acted_on(
    talk: Talk, random_bundle: PolicyBundle, values: list[float], names: tuple[str, ...], message: str
) -> None:
    talk.embedding(float32_array(random_bundle.embedding("reach")))
    talk.bench.settle()
    talk.observe(values, names)
    assert talk.bench.until(lambda: message in talk.problem())
    assert not talk.actions


def test_an_old_observation_is_not_acted_on(talk: Talk, random_bundle: PolicyBundle) -> None:
    talk.embedding(float32_array(random_bundle.embedding("reach")))
    talk.bench.settle()
    message = named_vector(talk.node.get_clock().now().to_msg(), DEFAULT_FIELDS, np.zeros(13))
    message.header.stamp.sec -= 10
    talk.observe_message(message)
    assert talk.bench.until(lambda: "too late" in talk.problem())
    assert not talk.actions


def test_lifecycle(bench: Any, bundle_folder: Path, random_bundle: PolicyBundle) -> None:
    node = bench.start(PolicyNode, policy=bundle_folder, autostart="false", max_observation_age_s=5.0)
    actions = bench.listen(JointState, topics.ACTION)

    def change(transition: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return bool(bench.call(ChangeState, "policy_node/change_state", request).success)

    configure, cleanup, activate, deactivate = 1, 2, 3, 4
    assert change(configure)
    observe = bench.talk(JointState, topics.OBSERVATION)
    embedding = bench.talk(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)

    def acts() -> bool:
        actions.clear()
        embedding(float32_array(random_bundle.embedding("reach")))
        observe(named_vector(node.get_clock().now().to_msg(), DEFAULT_FIELDS, np.zeros(13)))
        if node.active:
            bench.until(lambda: bool(actions))
        bench.settle()
        assert len(actions) <= 1
        return bool(actions)

    assert not acts()
    assert change(activate)
    assert acts()
    assert change(deactivate)
    assert not acts()
    assert change(cleanup)
    assert change(configure)
    assert change(activate)
    assert acts()


def test_a_missing_bundle_is_one_clear_error(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: no such folder"):
        bench.start(PolicyNode, policy=tmp_path / "nowhere")
