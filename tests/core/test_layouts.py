"""Task frames: nothing is moved within the layouts that the policy knows, and just enough of it outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.bundle import PolicyBundle
from legion_core.layouts import GOALS, MARGIN_M, TaskFrame
from legion_core.policy import LegionPolicy
from legion_core.spaces import DEFAULT_FIELDS, Float32, ObservationSpec
from legion_core.tasks import task_names

SPEC = ObservationSpec()
COLUMNS = {name: i for i, name in enumerate(DEFAULT_FIELDS)}
PLACE = st.floats(-1.0, 1.0, width=32)


def observation_of(goal_x: float, goal_y: float) -> Float32:
    values = np.linspace(0.1, 0.9, SPEC.size).astype(np.float32)
    values[[COLUMNS["goal_x"], COLUMNS["goal_y"]]] = goal_x, goal_y
    return values


def test_every_task_has_a_region() -> None:
    assert set(GOALS) == set(task_names())


@given(st.sampled_from(task_names()), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_within_the_region_the_very_same_observation_is_returned(task: str, across: float, along: float) -> None:
    (x0, x1), (y0, y1) = GOALS[task]
    observation = observation_of(x0 + across * (x1 - x0), y0 + along * (y1 - y0))
    assert TaskFrame(SPEC, GOALS).apply(task, observation) is observation


@given(st.sampled_from(task_names()), PLACE, PLACE)
def test_elsewhere_the_goal_is_brought_into_it_and_everything_keeps_its_distance(task: str, x: float, y: float) -> None:
    observation = observation_of(x, y)
    moved = TaskFrame(SPEC, GOALS).apply(task, observation)
    for axis, (low, high) in zip("xy", GOALS[task], strict=True):
        assert low - MARGIN_M - 1e-6 <= moved[COLUMNS[f"goal_{axis}"]] <= high + MARGIN_M + 1e-6
        shifts = [
            moved[COLUMNS[f"{thing}_{axis}"]] - observation[COLUMNS[f"{thing}_{axis}"]] for thing in ("hand", "goal")
        ]
        assert shifts[0] == pytest.approx(shifts[1], abs=1e-6)
    kept = [i for name, i in COLUMNS.items() if name[-2:] not in ("_x", "_y") or name.startswith("object2")]
    assert (moved[kept] == observation[kept]).all()


def test_a_sentence_of_none_of_the_ten_tasks_moves_nothing() -> None:
    observation = observation_of(5.0, 5.0)
    assert TaskFrame(SPEC, GOALS).apply("", observation) is observation
    assert TaskFrame(ObservationSpec(("hand_x", "gripper_opening")), GOALS).shift_m(
        "push", np.zeros(2, np.float32)
    ) == (
        0.0,
        0.0,
    )


def test_the_policy_acts_in_the_frame_of_its_task() -> None:
    bundle = PolicyBundle.load()
    policy = LegionPolicy(bundle)
    known = np.zeros(bundle.spec.size, np.float32)
    known[[1, 4, 10]], known[[2, 5, 11]], known[-1] = (0.6, 0.65, 0.8), (0.2, 0.02, 0.02), 1.0
    elsewhere = known.copy()
    elsewhere[[0, 3, 9]] += np.float32(0.25)
    elsewhere[[1, 4, 10]] -= np.float32(0.125)
    expected = policy.act(TaskFrame(bundle.spec, GOALS).apply("push", elsewhere), bundle.embedding("push")).action
    assert (policy.act(elsewhere, bundle.embedding("push")).action == expected).all()
    assert np.abs(expected - policy.act(known, bundle.embedding("push")).action).max() < 0.5
