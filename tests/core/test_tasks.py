"""The table of tasks."""

from __future__ import annotations

import pytest

from legion_core.errors import ConfigurationError, TaskError
from legion_core.tasks import Task, all_tasks, get_task, task_names

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
    for task in all_tasks():
        assert task.metaworld in environments


def test_no_sentence_means_two_tasks() -> None:
    sentences = [s.casefold() for task in all_tasks() for s in task.sentences]
    assert len(set(sentences)) == len(sentences)


def test_the_description_comes_first() -> None:
    task = get_task("window-open")
    assert task.sentences[0] == task.description == "open the window"
    assert task.sentences[1:] == task.phrasings


def test_an_unknown_task_is_answered_with_the_names() -> None:
    with pytest.raises(TaskError, match=r"unknown task 'juggle'; allowed: reach, .*window-close"):
        get_task("juggle")


@pytest.mark.parametrize("change", [{"description": " "}, {"phrasings": ()}])
def test_a_task_needs_words(change: dict[str, object]) -> None:
    fields = {"name": "x", "metaworld": "x-v3", "description": "do x", "phrasings": ("x",)} | change
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        Task(**fields)  # type: ignore[arg-type]
