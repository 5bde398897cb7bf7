"""What a run learned and kept: numbers worked out by hand, and what must hold for any curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import records

from legion_core.errors import RunError
from legion_core.learning import metrics
from legion_core.learning.metrics import Condition, Count, Curve, History


def stage(index: int, event: str, tasks: str, seen: str, env_steps: int = 0) -> dict[str, Any]:
    place = {"stage": index, "round": 0, "update": env_steps // 10, "env_steps": env_steps, "wall_s": env_steps / 100}
    return {"kind": "stage", "event": event, "tasks": tasks.split(), "seen": seen.split()} | place


def evaluation(index: int, when: str, env_steps: int, stage_env_steps: int, **successes: int) -> dict[str, Any]:
    """Of ten episodes a task, on the iiwa."""
    counts = {name: {"episodes": 10, "successes": count} for name, count in successes.items()}
    place = {"stage": index, "round": 0, "update": env_steps // 10, "env_steps": env_steps, "wall_s": env_steps / 100}
    condition = {"arm": "iiwa7", "actuation": "mocap"}
    return {"kind": "evaluation", "when": when, "stage_env_steps": stage_env_steps, "tasks": counts} | place | condition


def mixture(index: int, components: int) -> dict[str, Any]:
    place = {"stage": index, "round": 0, "update": 0, "env_steps": 0, "wall_s": 0.0}
    fit = {"components": components, "tasks_seen": index + 1, "purity": 0.9, "elbo": -1.0, "births": 1, "merges": 0}
    return {"kind": "mixture", "engine": "memoized"} | fit | place


LIFELONG = [
    stage(0, "start", "reach", "reach"),
    evaluation(0, "stage_start", 0, 0, reach=1),
    evaluation(0, "round", 100, 100, reach=5),
    mixture(0, 2),
    mixture(0, 1),
    evaluation(0, "stage_end", 200, 200, reach=10),
    stage(0, "end", "reach", "reach", 200),
    stage(1, "start", "push", "reach push", 200),
    evaluation(1, "stage_start", 200, 0, push=3),
    evaluation(1, "round", 300, 100, push=7),
    evaluation(1, "stage_end", 400, 200, reach=8, push=9),
    mixture(1, 2),
    stage(1, "end", "push", "reach push", 400),
    evaluation(1, "final", 400, 200, reach=7, push=10),
]


def test_lifelong_run_by_hand() -> None:
    history = History.of(LIFELONG)
    assert history.tasks == ("reach", "push")
    assert history.finished
    np.testing.assert_allclose(metrics.success_matrix(history), [[1.0, np.nan], [0.8, 0.9]])
    np.testing.assert_allclose(metrics.average_success(history), [1.0, 0.85])
    np.testing.assert_allclose(metrics.final_success(history), [0.7, 1.0])
    np.testing.assert_allclose(metrics.own_success(history), [1.0, 0.9])
    np.testing.assert_allclose(metrics.forgetting(history), [0.3, -0.1], atol=1e-12)
    np.testing.assert_allclose(metrics.start_success(history), [np.nan, 0.3])
    np.testing.assert_allclose(metrics.forward_transfer(history), [np.nan, 0.9])
    # trapezia: reach (.1 + .5) / 2 and (.5 + 1) / 2, push (.3 + .7) / 2 and (.7 + .9) / 2, each over half of the stage
    np.testing.assert_allclose(metrics.stage_mean_success(history), [0.525, 0.65])
    steps, values = metrics.success_curve(history, "reach")
    assert steps.tolist() == [0, 100, 200, 400]
    assert values.tolist() == [0.1, 0.5, 1.0, 0.7]
    assert [m.components for m in metrics.stage_mixtures(history) if m] == [1, 2]


def test_a_run_in_a_line() -> None:
    summary = metrics.summarise(History.of(LIFELONG))
    assert (summary.success, summary.worst, summary.forgetting) == pytest.approx((0.85, 0.7, 0.1))
    assert (summary.forward_transfer, summary.start_success) == pytest.approx((0.9, 0.3))
    assert (summary.components, summary.tasks_seen, summary.purity) == (2, 2, 0.9)
    assert (summary.env_steps, summary.updates, summary.wall_s) == (400, 40, 4.0)


def test_few_shot_by_hand() -> None:
    """Two tasks, met twice: `reach` takes 300 steps, then 100; `push` never gets there, then at once."""
    history = History.of(
        [
            stage(0, "start", "reach", "reach"),
            evaluation(0, "stage_start", 0, 0, reach=0),
            evaluation(0, "round", 200, 200, reach=4),
            evaluation(0, "round", 300, 300, reach=8),
            evaluation(0, "stage_end", 400, 400, reach=8),
            stage(1, "start", "push", "reach push", 400),
            evaluation(1, "stage_end", 800, 400, reach=2, push=7),
            stage(2, "start", "reach", "reach push", 800),
            evaluation(2, "stage_start", 800, 0, reach=2),
            evaluation(2, "round", 900, 100, reach=10),
            evaluation(2, "stage_end", 1000, 200, reach=10, push=7),
            stage(3, "start", "push", "reach push", 1000),
            evaluation(3, "stage_start", 1000, 0, push=8),
            evaluation(3, "stage_end", 1400, 400, reach=9, push=10),
            stage(3, "end", "push", "reach push", 1400),
        ]
    )
    first, second = metrics.meetings(history, "reach")
    assert (first.stage, first.steps, second.stage, second.steps) == (0, 300, 2, 100)
    # first: (.2 * 200 + .6 * 100 + .8 * 100) / 400; second: (.6 * 100 + 1 * 300) / 400, level after its 200 steps
    assert (first.area, second.area) == pytest.approx((0.45, 0.9))
    assert (first.gain, second.gain) == pytest.approx((0.0, 0.45 / 0.55))
    assert metrics.steps_ratio(first, second) == pytest.approx(1 / 3)
    never, at_once = metrics.meetings(history, "push")
    assert (never.steps, at_once.steps) == (np.inf, 0)
    assert np.isnan(metrics.steps_ratio(never, at_once))
    np.testing.assert_allclose(metrics.forgetting(history), [0.1, 0.0], atol=1e-12)  # from the last meeting


def test_an_expanding_set_introduces_each_task_once() -> None:
    history = History.of(records("expanding"))
    assert [[s.index for s in history.own_stages(task)] for task in history.tasks] == [[0], [1], [2]]
    assert np.isfinite(metrics.forgetting(history)).all()


def test_multitask_has_one_stage() -> None:
    history = History.of(records("multitask"))
    assert metrics.success_matrix(history).shape == (1, 3)
    assert np.isnan(metrics.forward_transfer(history)).all()
    assert metrics.summarise(history).success == pytest.approx((0.95 + 1 + 1) / 3)


@pytest.mark.parametrize("count", range(len(LIFELONG)))
def test_every_beginning_of_a_run_has_metrics(count: int) -> None:
    history = History.of(LIFELONG[:count], tasks=("reach", "push", "door-open"))
    assert not history.finished
    assert set(history.tasks) == {"reach", "push", "door-open"}
    never = history.tasks.index("door-open")
    for of in (metrics.final_success, metrics.own_success, metrics.forgetting, metrics.stage_mean_success):
        values = of(history)
        assert values.shape == (3,)
        assert np.isnan(values[never])
    assert metrics.meetings(history, "door-open") == []
    assert len(metrics.average_success(history)) == len(history.stages)
    metrics.summarise(history)


def test_an_unfinished_run_forgets_nothing_it_has_not_measured() -> None:
    history = History.of(LIFELONG[:10])
    assert [s.ended for s in history.stages] == [True, False]
    np.testing.assert_allclose(metrics.final_success(history), [1.0, 0.7])  # the newest stand in
    np.testing.assert_allclose(metrics.forgetting(history), [0.0, np.nan])
    np.testing.assert_allclose(metrics.average_success(history), [1.0, np.nan])  # reach is not measured again yet


def test_other_conditions_stand_apart() -> None:
    servo = evaluation(1, "final", 400, 200, reach=1, push=2) | {"actuation": "servo"}
    history = History.of([*LIFELONG, servo])
    assert metrics.final_success(history).tolist() == [0.7, 1.0]
    assert metrics.finals(history, Condition("iiwa7", "servo")) == {"reach": Count(1, 10), "push": Count(2, 10)}


@pytest.mark.parametrize("key", ["kind", "stage", "env_steps", "tasks", "stage_env_steps"])
def test_a_record_without_what_it_must_have_is_named(key: str) -> None:
    broken = {name: value for name, value in LIFELONG[1].items() if name != key}
    with pytest.raises(RunError, match=rf"record 2 .*: {key} is missing"):
        History.of([LIFELONG[0], broken])


def test_a_record_of_the_wrong_kind_of_value_is_named() -> None:
    with pytest.raises(RunError, match=r"record 1 \(evaluation\)"):
        History.of([LIFELONG[1] | {"tasks": {"reach": 3}}])


shares = st.floats(0, 1)
curves = st.lists(st.tuples(st.integers(0, 10_000), shares), min_size=1, max_size=30).map(Curve.of)


@given(value=st.integers(0, 10), stages=st.integers(1, 6))
def test_constant_success_forgets_nothing(value: int, stages: int) -> None:
    names = [f"task{i}" for i in range(stages)]
    told = []
    for i, name in enumerate(names):
        told.append(stage(i, "start", name, " ".join(names[: i + 1])))
        told.append(evaluation(i, "stage_end", 10 * i, 10, **dict.fromkeys(names[: i + 1], value)))
    told.append(evaluation(stages - 1, "final", 10 * stages, 10, **dict.fromkeys(names, value)))
    history = History.of(told)
    assert (metrics.forgetting(history) == 0).all()
    assert metrics.average_success(history) == pytest.approx(np.full(stages, value / 10))


@given(curve=curves, length=st.integers(0, 20_000))
def test_mean_success_lies_between_least_and_most(curve: Curve, length: int) -> None:
    mean = metrics.mean_success(curve, length)
    assert curve.success.min() - 1e-9 <= mean <= curve.success.max() + 1e-9


@given(curve=curves, value=shares)
def test_mean_success_of_a_constant_is_that(curve: Curve, value: float) -> None:
    level = Curve(curve.steps, np.full_like(curve.success, value))
    assert metrics.mean_success(level) == pytest.approx(value)


@given(curve=curves, low=shares, high=shares)
def test_a_higher_threshold_is_not_reached_sooner(curve: Curve, low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert metrics.steps_to(curve, low) <= metrics.steps_to(curve, high)


@given(first=st.floats(0, 0.99), area=shares)
def test_gain_is_the_share_of_what_was_left(first: float, area: float) -> None:
    gain = metrics.few_shot_gain(first, area)
    assert gain <= 1
    assert (gain > 0) == (area > first)


def test_nothing_left_to_gain_is_no_number() -> None:
    assert np.isnan(metrics.few_shot_gain(1.0, 1.0))


def test_an_empty_curve_is_no_number() -> None:
    empty = Curve.of([])
    assert np.isnan([metrics.mean_success(empty), metrics.steps_to(empty, 0.8)]).all()
