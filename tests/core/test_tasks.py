"""The table of tasks."""

from __future__ import annotations

import pytest

from legion_core.errors import ConfigurationError, TaskError
from legion_core.tasks import EPISODE_STEPS, Task, all_tasks, fifty_tasks, get_task, task_names, task_set

CURRICULUM = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "faucet-open",
    "drawer-close",
    "button-press-topdown",
    "peg-unplug-side",
    "window-open",
    "window-close",
)


def test_the_papers_curriculum() -> None:
    assert task_names() == CURRICULUM


def test_every_task_is_a_metaworld_environment() -> None:
    environments = pytest.importorskip("metaworld.env_dict").ALL_V3_ENVIRONMENTS
    assert sorted(task.metaworld for task in fifty_tasks()) == sorted(environments)


def test_the_ten_are_the_first_of_the_fifty() -> None:
    assert task_set("ten") == all_tasks() == fifty_tasks()[:10]
    assert task_set("fifty") == fifty_tasks()
    assert len({task.name for task in fifty_tasks()}) == 50
    assert all(task.max_steps == EPISODE_STEPS for task in all_tasks())


def test_no_sentence_means_two_tasks() -> None:
    sentences = [s.casefold() for task in fifty_tasks() for s in task.sentences]
    assert len(set(sentences)) == len(sentences)


def test_the_description_comes_first() -> None:
    task = get_task("window-open")
    assert task.sentences[0] == task.description == "open the window"
    assert task.sentences[1:] == task.phrasings


def test_an_unknown_task_is_answered_with_the_names() -> None:
    with pytest.raises(TaskError, match=r"unknown task 'juggle'; allowed: reach, .*window-close"):
        get_task("juggle")


def test_a_misspelt_task_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(TaskError, match=r"did you mean coffee-pull, .*; allowed: reach, "):
        get_task("coffee-pul")


def test_a_task_of_the_forty_is_none_of_the_ten() -> None:
    assert get_task("coffee-pull").metaworld == "coffee-pull-v3"
    with pytest.raises(TaskError, match=r"unknown task 'coffee-pull'; allowed: reach, .*window-close"):
        get_task("coffee-pull", "ten")


def test_an_unknown_task_set_is_named() -> None:
    with pytest.raises(TaskError, match=r"unknown task set 'forty' .*; allowed: ten, fifty"):
        task_set("forty")  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"description": " "}, {"phrasings": ()}, {"max_steps": 0}])
def test_a_task_needs_words(change: dict[str, object]) -> None:
    fields = {"name": "x", "metaworld": "x-v3", "description": "do x", "phrasings": ("x",)} | change
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        Task(**fields)  # type: ignore[arg-type]
