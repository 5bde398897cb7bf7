"""LEGION's ten manipulation tasks: canonical names, descriptions and phrasings (data/tasks.yaml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from legion_core.config import from_mapping, load_yaml, require
from legion_core.errors import TaskError, unknown

TASKS_FILE = Path(__file__).parent / "data" / "tasks.yaml"


@dataclass(frozen=True)
class Task:
    """One task: its canonical `name`, the `metaworld` environment id, the `description` that names it in the
    training language and further `phrasings` of the same instruction."""

    name: str
    metaworld: str
    description: str
    phrasings: tuple[str, ...]

    def __post_init__(self) -> None:
        require(bool(self.description.strip()), "description", self.description, "a sentence")
        require(len(self.phrasings) > 0, "phrasings", self.phrasings, "at least one sentence")

    @property
    def sentences(self) -> tuple[str, ...]:
        """The description followed by the phrasings."""
        return (self.description, *self.phrasings)


@cache
def all_tasks() -> tuple[Task, ...]:
    """The ten tasks in the paper's curriculum order."""
    data = load_yaml(TASKS_FILE)
    return tuple(from_mapping(Task, {"name": name, **entry}, f"{TASKS_FILE}: {name}") for name, entry in data.items())


def task_names() -> tuple[str, ...]:
    """The canonical names in curriculum order."""
    return tuple(task.name for task in all_tasks())


def get_task(name: str) -> Task:
    """The task of that canonical name.

    Raises:
        TaskError: there is none; the message lists the names.
    """
    for task in all_tasks():
        if task.name == name:
            return task
    raise TaskError(unknown("task", name, task_names()))
