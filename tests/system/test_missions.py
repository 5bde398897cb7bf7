"""A whole mission through the running graph in lockstep: from a sentence, over an emergency stop, to its end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from running import deployment

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

from legion_core.mission import get_mission, request_of
from legion_ros.missions import Missions

MISSION = "clear_the_table"
SEED = 21
WAIT_S = 60.0


class Scene:
    """The graph with the mission's objects; `solved` says of each attempt what the simulator's own rules say."""

    def __init__(self, starter: Any, client: Any) -> None:
        self.starter, self.client, self.missions = starter, client, Missions(client)
        self.solved, self._step = [False], 0
        client.on_episode = self._on_episode

    def _on_episode(self, episode: Any) -> None:
        if episode.step < self._step:  # steps are counted from the beginning of each attempt
            self.solved.append(False)
        self._step, self.solved[-1] = episode.step, self.solved[-1] or episode.success

    def begin(self, seed: int) -> None:
        self.client.reset_simulator(seed=seed)
        self.solved, self._step = [False], 0

    def wait(self, **wanted: Any) -> bool:
        """Until the mission's state holds all that; a process that died is started again."""

        def holds() -> bool:
            self.starter.poll()
            return wanted.items() <= self.missions.newest.items()

        return bool(self.client.wait(holds, WAIT_S))

    def done(self) -> set[str]:
        return {step["task"] for step in self.missions.newest["steps"] if step["state"] == "succeeded"}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with deployment(scene=MISSION, lockstep=True) as (starter, client):
        yield Scene(starter, client)


def test_a_sentence_clears_the_table_over_an_emergency_stop(scene: Scene) -> None:
    scene.begin(SEED)
    assert scene.client.say("clear the table").accepted
    assert scene.wait(mission=MISSION, state="running", task="drawer-close"), scene.missions.newest
    scene.client.e_stop(True)
    assert scene.wait(state="held"), scene.missions.newest
    scene.client.e_stop(False)
    assert scene.wait(state="succeeded"), scene.missions.newest
    assert scene.done() == {step.task for step in get_mission(MISSION).steps}
    attempts = sum(step["attempt"] for step in scene.missions.newest["steps"])
    assert scene.client.wait(lambda: scene.solved[-attempts:] == [True] * attempts, 2.0), scene.solved


def test_stop_aborts_it_and_nothing_moves_on(scene: Scene) -> None:
    scene.begin(SEED + 1)
    scene.missions.request(request_of(get_mission(MISSION)))
    assert scene.wait(state="running", task="push"), scene.missions.newest
    assert scene.client.say("stop").accepted
    assert scene.wait(state="aborted", task=""), scene.missions.newest
    refusal = scene.client.say("open the door").text
    assert refusal == "the scene has nothing for door-open, only for reach, push, drawer-close, window-close"


def test_it_goes_on_after_a_pause_and_after_its_node_was_killed(scene: Scene) -> None:
    scene.begin(SEED + 2)
    scene.missions.request(request_of(get_mission(MISSION)))
    assert scene.wait(state="running", task="push"), scene.missions.newest
    for sentence, state in (("pause", "paused"), ("continue", "running")):
        assert scene.client.say(sentence).accepted
        assert scene.wait(state=state), scene.missions.newest
    assert scene.wait(state="running", task="drawer-close"), scene.missions.newest
    scene.starter["mission_node"].signal(signal.SIGKILL)
    assert scene.wait(mission=MISSION, state="paused", task="", step=1), scene.missions.newest
    assert "interrupted in step 2 of 3: drawer-close" in scene.missions.newest["text"]
    # language_node may hear later than this operator that there is a mission again
    assert scene.client.wait(lambda: scene.client.say("continue").accepted, WAIT_S)
    assert scene.wait(state="succeeded"), scene.missions.newest
