"""Missions: what their files and requests may hold, and every way a run can go, with the clock in hand."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from legion_core.approach import HEIGHTS_M, START_M, Approach, Stage
from legion_core.errors import ConfigurationError
from legion_core.mission import (
    Mission,
    MissionStep,
    get_mission,
    load_mission,
    load_missions,
    parse_request,
    request_of,
)
from legion_core.mission_run import APPROACH_TIMEOUT_S, MissionRun, MissionState
from legion_core.spaces import Float32

PERIOD_S = 0.02
TWO = Mission("two", "Two steps", (MissionStep("push", timeout_s=1.0, attempts=2), MissionStep("window-close")))

# files and requests


def test_the_packaged_missions_load_and_go_through_a_request_unchanged() -> None:
    missions = load_missions()
    assert set(missions) == {"clear_the_table", "make_coffee"}
    assert [step.task for step in missions["clear_the_table"].steps] == ["push", "drawer-close", "window-close"]
    assert [step.task for step in missions["make_coffee"].steps] == ["faucet-open", "button-press-topdown", "push"]
    for name, mission in missions.items():
        assert mission.phrases
        assert parse_request(request_of(mission)) == mission
        assert parse_request(json.dumps({"name": name})) == mission


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": []}, "steps = 0; allowed: 1 to 50 of them"),
        ({"steps": [{"task": "pusj"}]}, r"steps\[0\]: task: unknown task 'pusj' \(did you mean push"),
        ({"steps": [{"task": "push", "timeout_s": 0}]}, r"steps\[0\]: timeout_s = 0.0; allowed: above 0"),
        ({"steps": [{"task": "push", "attempts": 0}]}, r"steps\[0\]: attempts = 0; allowed: 1 to 100"),
        ({"steps": [{"task": "push", "approach_m": [0, 9, 0]}]}, "approach_m = .*; allowed: three numbers within 2 m"),
        ({"steps": [{"tusk": "push"}]}, "unknown key 'tusk' .*; allowed: task, timeout_s, attempts, approach_m"),
        ({"steps": "push"}, "steps = 'push'; expected a list"),
        ({"title": " "}, "title = ' '; allowed: a few words"),
        ({"name": "other"}, "name = 'other'; allowed: none"),
        ({"phrases": [""]}, "phrases = ''"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_malformed_file_is_one_error_that_names_it(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"title": "Mine", "steps": [{"task": "push"}], **change}))
    with pytest.raises(ConfigurationError, match=f"{file}.*{message}"):
        load_mission(file)


def test_two_missions_of_one_phrase_are_refused(tmp_path: Path) -> None:
    for name, phrase in (("one", "Do it"), ("two", "do it")):
        content = {"title": name, "phrases": [phrase], "steps": [{"task": "push"}]}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match="two: phrases = 'do it'; allowed: sentences of one mission; one has"):
        load_missions(tmp_path)


def test_a_mission_of_an_own_file_and_an_unknown_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: Mine\nsteps:\n  - task: reach\n    approach_m: [0.1, 0.5, 0.3]\n")
    assert get_mission(str(file)) == Mission("mine", "Mine", (MissionStep("reach", approach_m=(0.1, 0.5, 0.3)),))
    with pytest.raises(ConfigurationError, match="unknown mission 'nap'; allowed: clear_the_table, make_coffee"):
        get_mission("nap")


def test_a_request_of_tasks_is_a_mission_without_a_name() -> None:
    mission = parse_request('{"steps": ["window-open", {"task": "push", "attempts": 1}]}')
    assert mission.steps == (MissionStep("window-open"), MissionStep("push", attempts=1))
    assert (mission.name, mission.title) == ("", "window-open, then push")


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{}", '{"name": 3}', '{"steps": []}', '{"steps": [3]}', '{"steps": ["fly"]}', "{" * 5000]
)
def test_a_malformed_request_is_one_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mission request|steps"):
        parse_request(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_no_request_ends_in_another_error(wish: Any) -> None:
    for data in (wish, {"steps": wish}, {"steps": [{"task": "push", "timeout_s": wish}]}, {"name": wish}):
        with suppress(ConfigurationError):
            parse_request(json.dumps(data))


# a run


class World:
    """Everything around a run: language that answers, a hand that obeys, an object that is or is not at its goal."""

    def __init__(self, mission: Mission | None = None) -> None:
        self.asked: list[str] = []
        self.run = MissionRun(self.asked.append)
        self.now_s = 100.0
        self.hand = np.array(START_M)
        self.opening = 1.0
        self.solved = False
        self.answers = True
        self.moved = 0
        if mission is not None:
            self.run.begin(mission)

    def observation(self) -> Float32:
        thing = (0.0, 0.8, 0.02) if self.solved else (0.3, 0.5, 0.02)
        return np.array((*self.hand, *thing, 0, 0, 0, 0.0, 0.8, 0.02, self.opening), np.float32)

    def step(self, count: int = 1) -> None:
        """Language answers what was asked; then so many observations, each answered by the hand's motion if any."""
        for _ in range(count):
            while self.answers and self.asked:
                self.run.hear_task(self.asked.pop(0))
            self.now_s += PERIOD_S
            action = self.run.observe(self.observation(), self.now_s)
            if action is not None:
                self.moved += 1
                self.hand = self.hand + 0.01 * action[:3]
                self.opening = 1.0 if action[3] < 0 else 0.4

    def until(self, task: str, limit: int = 800) -> None:
        """Until the run tries that task."""
        while self.run.report()["task"] != task or self.asked:
            self.step()
            limit -= 1
            assert limit, f"{task} never began: {self.run.report()}"

    @property
    def report(self) -> dict[str, Any]:
        return self.run.report()

    def states(self) -> list[str]:
        return [step["state"] for step in self.report["steps"]]


def test_a_mission_runs_to_its_end() -> None:
    world = World(TWO)
    assert world.report["state"] == "running"
    world.until("push")
    assert world.states() == ["running", "waiting"]
    world.solved = True
    world.step(20)
    assert world.states() == ["succeeded", "running"]
    assert world.report["text"] == "step 2 of 2: window-close"
    world.solved = False
    world.until("window-close")
    world.step(30)
    assert not world.report["success"]
    world.solved = True
    world.step(80)
    report = world.report
    assert (report["state"], report["task"], report["mission"], report["step"]) == ("succeeded", "", "two", 1)
    assert [step["attempt"] for step in report["steps"]] == [1, 1]
    assert all(step["seconds"] > 0 for step in report["steps"])
    assert world.hand[2] > START_M[2]  # it has left


def test_the_hand_lets_go_and_rises_before_it_moves_on() -> None:
    world = World(TWO)
    world.until("push")
    world.hand, world.opening, world.solved = np.array((0.1, 0.8, 0.06)), 0.4, True
    low = []
    for _ in range(60):
        world.step()
        if world.moved:
            low.append((world.opening, *world.hand))
    path = np.array(low)
    sideways = np.hypot(path[:, 1] - 0.1, path[:, 2] - 0.8) > 0.02
    assert sideways.any()
    assert (path[sideways][:10, 3] > 0.15).all()  # up before it goes aside
    assert (path[path[:, 3] > 0.07][:, 0] > 0.9).all()  # and open before it rises


def test_a_scene_that_has_not_yet_changed_counts_for_nothing() -> None:
    world = World(TWO)
    world.solved = True
    world.until("push")
    world.step(10)
    assert not world.report["success"]
    world.solved = False
    world.step(20)
    assert not world.report["success"]


def test_success_is_judged_only_once_the_scene_shows_the_task() -> None:
    world = World(TWO)
    world.run.hear_scene("window-close")
    world.solved = True
    world.until("push")
    world.step(20)
    assert not world.report["success"]
    world.run.hear_scene("push")
    world.step(10)
    assert not world.report["success"]  # what is observed may still be what was shown before
    world.step(10)
    assert world.states() == ["succeeded", "running"]


def test_an_attempt_at_what_is_never_shown_says_so() -> None:
    world = World(TWO)
    world.run.hear_scene("window-close")
    world.until("push")
    world.step(55)
    assert "push was not done in 1 s (object and goal were those of window-close)" in world.report["text"]


def test_a_task_that_is_not_done_in_time_is_tried_again_and_then_the_mission_fails() -> None:
    world = World(TWO)
    world.until("push")
    world.step(55)
    assert world.report["steps"][0]["attempt"] == 2
    assert "push was not done in 1 s" in world.report["text"]
    world.until("push")
    world.step(55)
    assert (world.report["state"], world.states()) == ("failed", ["failed", "waiting"])
    world.step()
    assert world.report["task"] == ""
    assert "has failed" in world.report["text"]


def test_a_hand_that_does_not_get_there_costs_an_attempt() -> None:
    world = World(Mission("", "t", (MissionStep("push", attempts=1, approach_m=(0.4, 0.9, 0.4)),)))
    for _ in range(round(APPROACH_TIMEOUT_S / PERIOD_S) + 20):
        world.hand = np.array(START_M)
        world.step()
    assert world.report["state"] == "failed"
    assert "did not get to where the step begins" in world.report["text"]


def test_pause_and_continue_in_the_same_attempt() -> None:
    world = World(TWO)
    world.until("push")
    world.step(20)
    assert world.run.control("pause")
    world.step(200)
    assert (world.report["state"], world.report["task"]) == ("paused", "")
    assert world.run.control("continue")
    world.until("push")
    assert world.report["steps"][0]["attempt"] == 1
    assert world.report["steps"][0]["seconds"] < 1.0
    world.step(45)  # 0.4 s before the pause and these are more than the second it has
    assert world.report["steps"][0]["attempt"] == 2


def test_a_refused_sentence_in_a_pause_ends_nothing_but_another_task_does() -> None:
    world = World(TWO)
    world.until("push")
    assert world.run.control("pause")
    world.step()
    world.run.hear_task("")
    assert world.report["state"] == "paused"
    world.run.hear_task("drawer-close")
    assert (world.report["state"], world.report["text"]) == ("aborted", "aborted: drawer-close was asked for")


def test_pause_on_the_way_stops_the_hand() -> None:
    world = World(TWO)
    world.hand = np.array((0.2, 0.8, 0.2))
    world.step(5)
    moved = world.moved
    assert world.run.control("pause")
    world.step(20)
    assert world.moved == moved
    assert world.run.control("continue")
    world.until("push")


def test_skip_again_and_abort() -> None:
    world = World(TWO)
    world.until("push")
    assert world.run.control("skip")
    assert world.states() == ["skipped", "running"]
    world.until("window-close")
    assert world.run.control("again")
    assert world.states() == ["running", "waiting"]
    world.until("push")
    assert world.run.control("abort")
    world.step()
    assert (world.report["state"], world.report["task"], world.states()) == ("aborted", "", ["waiting", "waiting"])
    assert not any(world.run.control(word) for word in ("abort", "pause", "continue", "skip", "sing"))
    assert world.run.control("again")


def test_nothing_can_be_controlled_before_the_first_mission() -> None:
    world = World()
    assert not any(world.run.control(word) for word in ("again", "abort", "pause", "continue", "skip"))
    assert world.report["state"] == "idle"


def test_an_emergency_stop_holds_the_mission_and_costs_no_time() -> None:
    world = World(TWO)
    world.until("push")
    world.step(30)
    world.run.hear_stop(True)
    world.step(500)
    assert (world.report["state"], world.report["task"]) == ("held", "push")
    assert world.report["steps"][0]["seconds"] < 1.0
    world.run.hear_stop(False)
    assert world.report["state"] == "running"
    world.solved = True
    world.step(30)
    assert world.states()[0] == "succeeded"


def test_a_mission_that_is_asked_for_under_an_emergency_stop_waits() -> None:
    world = World()
    world.run.hear_stop(True)
    world.run.begin(TWO)
    world.step(50)
    assert (world.report["state"], world.moved) == ("held", 0)
    world.run.hear_stop(False)
    world.until("push")


def test_a_run_is_taken_up_where_another_process_died_and_moves_nothing_by_itself() -> None:
    before = World(TWO)
    before.until("push")
    before.step(30)
    assert before.run.control("skip")
    before.until("window-close")

    after = World()
    after.answers = False
    after.run.take_up(json.loads(json.dumps(before.report)))
    after.run.hear_task("window-close")  # what is still latched
    assert (after.report["state"], after.asked) == ("paused", [""])
    after.answers = True
    after.step(50)
    assert (after.report["state"], after.report["task"], after.moved) == ("paused", "", 0)
    assert after.report["text"] == "Two steps was interrupted in step 2 of 2: window-close; say continue"
    assert after.report["steps"][0] == before.report["steps"][0]
    after.hand = np.array((0.2, 0.8, 0.2))
    assert after.run.control("continue")
    after.until("window-close")
    assert after.moved > 0
    assert after.report["steps"][1]["attempt"] == 1
    after.solved = True
    after.step(80)
    assert (after.report["state"], after.states()) == ("succeeded", ["skipped", "succeeded"])


def test_a_run_that_was_taken_up_survives_word_that_there_was_no_task() -> None:
    before, after = World(TWO), World()
    after.run.take_up(before.report)
    for _ in range(2):  # what is still latched, as it died on the way to a step, and the answer
        after.run.hear_task("")
    after.asked.clear()
    assert after.report["state"] == "paused"
    assert after.run.control("continue")
    after.until("push")


def test_a_run_that_was_leaving_is_taken_up_to_leave() -> None:
    before, after = World(TWO), World()
    before.until("push")
    for _ in TWO.steps:
        before.run.control("skip")
    after.run.take_up(before.report)
    assert "all steps are done" in after.report["text"]
    after.step()
    assert after.run.control("continue")
    after.step(80)
    assert after.report["state"] == "succeeded"


@pytest.mark.parametrize("change", [{"request": {}}, {"steps": []}, {"steps": [3]}, {"step": 2}, {"step": "1"}])
def test_a_report_that_is_none_is_not_taken_up(change: dict[str, Any]) -> None:
    world = World()
    with pytest.raises(ConfigurationError):
        world.run.take_up({**World(TWO).report, **change})
    assert (world.report["state"], world.asked) == ("idle", [])


def test_observations_that_stay_away_cost_no_attempt() -> None:
    world = World(TWO)
    world.until("push")
    world.step(5)
    world.now_s += 60.0
    world.step(5)
    assert world.report["steps"][0]["attempt"] == 1


def test_an_observation_that_comes_again_is_no_new_evidence() -> None:
    world = World(TWO)
    world.until("push")
    world.step(20)
    world.solved = True
    world.step()
    for _ in range(10):
        world.run.observe(world.observation(), world.now_s)
    assert not world.report["success"]


@pytest.mark.parametrize("task", ["drawer-close", "", "push"])
def test_a_task_of_somebody_else_ends_the_mission_and_goes_on(task: str) -> None:
    world = World(TWO)
    world.until("push")
    world.run.hear_task(task)
    world.step()
    assert world.report["state"] == "aborted"
    assert not world.asked
    assert world.report["task"] == task


def test_a_request_that_was_under_way_does_not_outlive_a_stop() -> None:
    world = World(TWO)
    world.answers = False
    while "push" not in world.asked:
        world.step()
        if "" in world.asked:
            world.run.hear_task(world.asked.pop(0))
    world.run.hear_task("")  # somebody said stop before the request was heard
    assert world.run.state is MissionState.ABORTED
    world.run.hear_task(world.asked.pop(0))  # now it is
    assert world.asked == [""]


def test_nor_does_it_outlive_another_task_that_somebody_asked_for() -> None:
    world = World(TWO)
    world.answers = False
    while "push" not in world.asked:
        world.step()
    world.run.hear_task("drawer-close")
    world.run.hear_task(world.asked.pop(0))
    assert world.asked == ["drawer-close"]  # the operator's task again
    world.run.hear_task(world.asked.pop(0))
    assert (world.asked, world.report["task"]) == ([], "drawer-close")


def test_success_of_a_single_task_is_told_without_a_mission() -> None:
    world = World()
    world.run.hear_task("push")
    world.step(20)
    assert not world.report["success"]
    world.solved = True
    world.step(20)
    assert (world.report["success"], world.report["state"], world.moved) == (True, "idle", 0)
    world.run.hear_task("")
    assert not world.report["success"]


# the approach


@given(st.tuples(st.floats(-0.3, 0.3), st.floats(0.4, 0.9), st.floats(0.05, 0.45)), st.floats(0.0, 1.0))
def test_every_approach_ends_where_it_should_with_actions_that_are_allowed(
    start: tuple[float, ...], opening: float
) -> None:
    hand, approach = np.array(start), Approach(START_M)
    for _ in range(600):
        action = approach.act(hand, opening)
        if action is None:
            break
        assert (np.abs(action) <= 1.0).all()
        assert action[3] == -1.0
        hand, opening = hand + 0.01 * action[:3], min(1.0, opening + 0.1)
    assert approach.stage is Stage.DONE
    assert np.linalg.norm(hand - START_M) < 0.06


def test_leaving_is_letting_go_and_rising() -> None:
    hand, approach = np.array((0.1, 0.8, 0.06)), Approach(None)
    while (action := approach.act(hand, 1.0)) is not None:
        hand = hand + 0.01 * action[:3]
    assert hand[:2] == pytest.approx((0.1, 0.8))
    assert hand[2] > HEIGHTS_M[0] - 0.03


def test_a_hand_that_is_led_aside_while_it_rises_goes_on_once_it_is_up() -> None:
    approach = Approach(START_M)
    assert approach.act(np.array((0.13, 0.48, 0.10)), 1.0) is not None
    assert approach.stage is Stage.RISE
    assert approach.act(np.array((0.07, 0.52, 0.26)), 1.0) is not None
    assert approach.stage is Stage.GO


def test_a_gripper_that_tells_nothing_is_not_waited_for() -> None:
    approach = Approach(START_M)
    for _ in range(60):
        approach.act(np.array((0.1, 0.8, 0.06)), 0.0)
    assert approach.stage is not Stage.RELEASE
