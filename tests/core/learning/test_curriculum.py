"""Modes and orders become the right sequence of stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import ConfigurationError
from legion_core.learning.curriculum import schedule

TASKS = ("reach", "push", "door", "window")


def test_lifelong_meets_each_task_once_and_remembers_the_seen() -> None:
    stages = schedule("lifelong", ["curriculum"], TASKS)
    assert [stage.tasks for stage in stages] == [(task,) for task in TASKS]
    assert stages[2].seen == TASKS[:3]
    assert [stage.name for stage in stages] == ["00-reach", "01-push", "02-door", "03-window"]


def test_reverse_and_lists() -> None:
    assert [s.tasks[0] for s in schedule("lifelong", ["reverse"], TASKS)] == list(reversed(TASKS))
    some = schedule("lifelong", ["door", "reach"], TASKS)
    assert [s.tasks[0] for s in some] == ["door", "reach"]


def test_multitask_practises_all_at_once() -> None:
    (stage,) = schedule("multitask", ["curriculum"], TASKS)
    assert stage.tasks == stage.seen == TASKS
    assert stage.name == "00-4-tasks"
    assert schedule("multitask", ["curriculum"], TASKS[:1])[0].name == "00-reach"


def test_few_shot_meets_each_task_again_after_the_others() -> None:
    stages = schedule("few_shot", ["curriculum"], TASKS, meetings=3)
    assert [s.tasks[0] for s in stages] == list(TASKS) * 3
    assert all(s.seen == TASKS for s in stages[3:])


def test_expanding_adds_a_task_at_each_stage() -> None:
    assert [s.tasks for s in schedule("expanding", ["curriculum"], TASKS)] == [TASKS[: n + 1] for n in range(4)]


@given(st.integers(0, 10_000))
def test_a_random_order_is_a_permutation_that_its_seed_decides(seed: int) -> None:
    stages = schedule("lifelong", ["random"], TASKS, seed=seed)
    assert sorted(s.tasks[0] for s in stages) == sorted(TASKS)
    assert stages == schedule("lifelong", ["random"], TASKS, seed=seed)


def test_random_orders_differ() -> None:
    assert len({tuple(s.tasks[0] for s in schedule("lifelong", ["random"], TASKS, seed=n)) for n in range(20)}) > 5


@pytest.mark.parametrize(
    ("mode", "order", "text"),
    [
        ("endless", ["curriculum"], "mode 'endless'"),
        ("lifelong", ["backwards"], "'backwards'; allowed: curriculum, random, reverse, reach"),
        ("lifelong", ["reach", "reach"], "twice"),
        ("lifelong", [], "empty"),
    ],
)
def test_what_cannot_be_is_refused(mode: str, order: list[str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        schedule(mode, order, TASKS)
