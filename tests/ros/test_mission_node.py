"""mission_node between a stand-in for language_node and a hand that goes where it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from legion_core.approach import LABEL
from legion_core.errors import DeploymentError
from legion_core.mission import parse_request, request_of
from legion_core.spaces import ACTION_FIELDS, DEFAULT_FIELDS
from legion_ros import topics
from legion_ros.client import LegionClient
from legion_ros.missions import Missions
from legion_ros.nodes.mission_node import MissionNode
from legion_ros.qos import LATCHED
from legion_ros.stamps import from_seconds
from legion_ros.vector_messages import named_vector

PERIOD_S = 0.02


class Cell:
    """The node, what it says, and everything that it needs."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.node = bench.start(MissionNode, settle_s=0.1)
        self.states = bench.listen(String, topics.MISSION_STATE, LATCHED)
        self.requests = bench.listen(String, topics.TASK_REQUEST)
        self.actions = bench.listen(JointState, topics.ACTION)
        self.request = bench.talk(String, topics.MISSION_REQUEST)
        self.control = bench.talk(String, topics.MISSION_CONTROL)
        self.task = bench.talk(String, topics.TASK, LATCHED)
        self.e_stop = bench.talk(Bool, topics.E_STOP, LATCHED)
        self.observe = bench.talk(JointState, topics.OBSERVATION)
        self.answered = self.acted = 0
        self.now_s, self.solved = 10.0, False
        self.hand = np.array((0.0, 0.7, 0.1))

    @property
    def newest(self) -> dict[str, Any]:
        return dict(json.loads(self.states[-1].data)) if self.states else {}

    def run(self, condition: Any, limit: int = 400) -> bool:
        """Language answers, observations come, and the hand obeys, until the condition holds."""
        for _ in range(limit):
            for message in self.requests[self.answered :]:
                self.task(message)
            self.answered = len(self.requests)
            for action in self.actions[self.acted :]:
                self.hand = self.hand + 0.01 * np.array(action.position[:3])
            self.acted = len(self.actions)
            self.now_s += PERIOD_S
            thing = (0.0, 0.8, 0.02) if self.solved else (0.3, 0.5, 0.02)
            values = (*self.hand, *thing, 0, 0, 0, 0.0, 0.8, 0.02, 1.0)
            self.observe(named_vector(from_seconds(self.now_s), DEFAULT_FIELDS, values))
            self.bench.until(condition, 0.02)
            if condition():
                return True
        return False

    def step_states(self) -> list[str]:
        return [step["state"] for step in self.newest["steps"]]


class Operator:
    """What follows a mission needs of a client; `wait` spins the node as well."""

    is_heard = LegionClient.is_heard

    def __init__(self, bench: Any) -> None:
        self.node, self.wait = bench.probe, bench.until


@pytest.fixture
def cell(bench: Any) -> Cell:
    cell = Cell(bench)
    bench.settle()
    return cell


def ask(cell: Cell, **wish: Any) -> None:
    cell.request(String(data=json.dumps(wish)))


def follow(cell: Cell, task: str, timeout_s: float = 10.0) -> Iterator[dict[str, Any]]:
    operator: Any = Operator(cell.bench)
    return Missions(operator).carry_out(request_of(parse_request(json.dumps({"steps": [task]}))), timeout_s)


def test_it_runs_a_mission_to_its_end(cell: Cell) -> None:
    ask(cell, steps=["push", "window-close"], title="Two things")
    assert cell.run(lambda: cell.newest.get("task") == "push")
    assert cell.newest["title"] == "Two things"
    assert cell.step_states() == ["running", "waiting"]
    cell.solved = True
    assert cell.run(lambda: cell.newest["state"] == "succeeded")
    assert cell.step_states() == ["succeeded", "succeeded"]
    assert [message.data for message in cell.requests] == ["push", "", "window-close", ""]
    for action in cell.actions:
        assert action.header.frame_id == LABEL
        assert list(action.name) == list(ACTION_FIELDS)
        assert np.abs(action.position).max() <= 1.0


def test_it_answers_nothing_while_a_task_is_set(cell: Cell) -> None:
    ask(cell, steps=["push"])
    assert cell.run(lambda: cell.newest.get("task") == "push")
    cell.run(lambda: False, 5)
    before = len(cell.actions)
    cell.run(lambda: False, 20)
    assert len(cell.actions) == before


def test_an_emergency_stop_holds_it_and_it_goes_on(cell: Cell) -> None:
    ask(cell, steps=["push"])
    assert cell.run(lambda: cell.newest.get("task") == "push")
    cell.e_stop(Bool(data=True))
    assert cell.run(lambda: cell.newest["state"] == "held")
    cell.e_stop(Bool(data=False))
    assert cell.run(lambda: cell.newest["state"] == "running")
    cell.solved = True
    assert cell.run(lambda: cell.newest["state"] == "succeeded")


def test_it_obeys_control_and_says_what_it_cannot_do(cell: Cell) -> None:
    cell.control(String(data="pause"))
    assert cell.run(lambda: "cannot be done now (idle)" in cell.newest.get("text", ""))
    ask(cell, steps=["push"])
    assert cell.run(lambda: cell.newest.get("task") == "push")
    for word, state in (("pause", "paused"), ("continue", "running"), ("abort", "aborted")):
        cell.control(String(data=word))
        assert cell.run(lambda state=state: cell.newest["state"] == state)


@pytest.mark.parametrize("task", ["drawer-close", ""])
def test_a_task_of_somebody_else_ends_it(cell: Cell, task: str) -> None:
    ask(cell, steps=["push"])
    assert cell.run(lambda: cell.newest.get("task") == "push")
    asked = len(cell.requests)
    cell.task(String(data=task))
    assert cell.run(lambda: cell.newest["state"] == "aborted")
    assert cell.newest["task"] == task
    assert len(cell.requests) == asked


def test_of_two_answers_that_come_at_once_it_hears_both(cell: Cell) -> None:
    ask(cell, steps=["push"])
    assert cell.run(lambda: cell.newest.get("task") == "push")
    asked = len(cell.requests)
    for word in ("pause", "continue"):
        cell.control(String(data=word))
    cell.bench.until(lambda: len(cell.requests) == asked + 2)
    assert [message.data for message in cell.requests[asked:]] == ["", "push"]
    cell.solved = True
    assert cell.run(lambda: cell.newest["state"] not in ("running", "paused"))
    assert cell.newest["state"] == "succeeded", cell.newest["text"]


def test_it_tells_the_success_of_a_single_task(cell: Cell) -> None:
    cell.task(String(data="push"))
    assert cell.run(lambda: cell.newest.get("task") == "push")
    assert not cell.newest["success"]
    cell.solved = True
    assert cell.run(lambda: cell.newest["success"])
    assert cell.newest["state"] == "idle"


@pytest.mark.parametrize("request_", ["", "{", '{"name": "nap"}', '{"steps": ["fly"]}'])
def test_a_bad_request_is_refused_in_words(cell: Cell, request_: str) -> None:
    cell.request(String(data=request_))
    assert cell.run(lambda: "allowed" in cell.newest.get("text", ""))
    assert cell.newest["state"] == "idle"


def test_it_comes_back_to_the_mission_in_which_it_died_and_waits_for_the_operator(cell: Cell) -> None:
    steps = [{"task": "push", "state": "succeeded", "attempt": 1, "seconds": 2.0}, {"task": "reach", "attempt": 2}]
    request = {"name": "", "title": "Two things", "steps": [{"task": "push"}, {"task": "reach"}]}
    cell.task(String(data="reach"))
    keep = cell.bench.talk(String, topics.MISSION_KEPT, LATCHED)
    keep(String(data=json.dumps({"state": "running", "step": 1, "steps": steps, "request": request})))
    assert cell.run(lambda: cell.newest.get("state") == "paused" and cell.newest["task"] == "")
    assert cell.newest["text"] == "Two things was interrupted in step 2 of 2: reach, attempt 2; say continue"
    cell.run(lambda: False, 20)
    assert not cell.actions
    cell.control(String(data="continue"))
    assert cell.run(lambda: cell.newest["task"] == "reach")
    assert [message.data for message in cell.requests] == ["", "reach"]


@pytest.mark.parametrize("kept", ["3", "{}", '{"state": "running"}', '{"state": "running", "steps": 3}'])
def test_what_is_no_mission_is_not_come_back_to(cell: Cell, kept: str) -> None:
    cell.bench.talk(String, topics.MISSION_KEPT, LATCHED)(String(data=kept))
    assert cell.run(lambda: topics.MISSION_KEPT in cell.newest.get("text", ""))
    assert cell.newest["state"] == "idle"


def test_a_mission_that_the_scene_lacks_something_for_is_refused(cell: Cell) -> None:
    cell.bench.talk(String, topics.SCENE_TASKS, LATCHED)(String(data="push reach"))
    cell.bench.settle()
    ask(cell, steps=["push", "door-open"])
    assert cell.run(lambda: "the scene has nothing for door-open" in cell.newest.get("text", ""))
    assert cell.newest["state"] == "idle"


def test_who_follows_a_mission_follows_no_other(cell: Cell) -> None:
    following = follow(cell, "push")
    assert next(following)["text"] == "step 1 of 1: push"
    ask(cell, steps=["reach"], title="Another")
    with pytest.raises(DeploymentError, match="another mission was begun: Another"):
        list(following)


def test_a_mission_waits_for_mission_node_where_a_recorder_listens(cell: Cell) -> None:
    cell.bench.remove(cell.node)
    cell.bench.listen(String, topics.MISSION_REQUEST)
    cell.bench.probe.create_publisher(String, topics.MISSION_STATE, LATCHED).publish(String(data='{"text": "idle"}'))
    with pytest.raises(DeploymentError, match="nobody listens"):
        next(follow(cell, "push", timeout_s=1.0))


def test_a_mission_that_is_refused_is_not_taken_for_the_one_before(cell: Cell) -> None:
    cell.solved = True
    ask(cell, steps=["push"])
    assert cell.run(lambda: cell.newest.get("state") == "succeeded")
    cell.bench.talk(String, topics.SCENE_TASKS, LATCHED)(String(data="push reach"))
    cell.bench.settle()
    with pytest.raises(DeploymentError, match="not begun: the scene has nothing for door-open"):
        list(follow(cell, "door-open"))
    ask(cell, steps=["push"])
    cell.bench.settle()
    with pytest.raises(DeploymentError, match="not begun: the scene has nothing for door-open"):
        list(follow(cell, "door-open", timeout_s=1.0))


def test_a_mission_that_nothing_more_is_heard_of_is_followed_no_longer(cell: Cell) -> None:
    following = follow(cell, "push", timeout_s=1.0)
    assert next(following)["state"] == "running"
    cell.bench.remove(cell.node)
    with pytest.raises(DeploymentError, match="nothing was heard of a mission for 1 s; before: step 1 of 1: push"):
        list(following)


def test_observations_that_are_none_move_nothing(cell: Cell) -> None:
    ask(cell, steps=["push"])
    cell.observe(named_vector(from_seconds(1.0), ("hand_x",), (0.0,)))
    cell.observe(named_vector(from_seconds(1.1), DEFAULT_FIELDS, np.full(len(DEFAULT_FIELDS), np.nan)))
    cell.bench.until(lambda: bool(cell.actions), 0.5)
    assert not cell.actions


def test_a_task_is_asked_for_when_language_node_comes(bench: Any) -> None:
    bench.start(MissionNode)
    request, observe = bench.talk(String, topics.MISSION_REQUEST), bench.talk(JointState, topics.OBSERVATION)
    request(String(data='{"steps": ["push"]}'))
    values = (0.0, 0.6, 0.2, *[0.3] * 9, 1.0)  # the hand is where the step begins
    for step in range(10):
        observe(named_vector(from_seconds(1.0 + PERIOD_S * step), DEFAULT_FIELDS, values))
        bench.settle(0.05)
    heard = bench.listen(String, topics.TASK_REQUEST)
    assert bench.until(lambda: bool(heard))
    assert heard[0].data == "push"
    assert bench.until(lambda: len(heard) > 1), "it died with the request"
