"""LEGION's ten manipulation tasks, and Meta-World's fifty: names, descriptions and phrasings (data/tasks*.yaml)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from legion_core.config import from_mapping, load_yaml, require
from legion_core.errors import TaskError, unknown

TASKS_FILE = Path(__file__).parent / "data" / "tasks.yaml"
FORTY_FILE = TASKS_FILE.with_name("tasks_mt50.yaml")
EPISODE_STEPS = 150
"""Length of an episode in LEGION."""

TaskSet = Literal["ten", "fifty"]


@dataclass(frozen=True)
class Task:
    """One task: its canonical `name`, the `metaworld` environment id, the `description` that names it in the
    training language, further `phrasings` of the same instruction and the `max_steps` of an episode."""

    name: str
    metaworld: str
    description: str
    phrasings: tuple[str, ...]
    max_steps: int = EPISODE_STEPS

    def __post_init__(self) -> None:
        require(bool(self.description.strip()), "description", self.description, "a sentence")
        require(len(self.phrasings) > 0, "phrasings", self.phrasings, "at least one sentence")
        require(self.max_steps > 0, "max_steps", self.max_steps, "> 0")

    @property
    def sentences(self) -> tuple[str, ...]:
        """The description followed by the phrasings."""
        return (self.description, *self.phrasings)


@cache
def all_tasks() -> tuple[Task, ...]:
    """LEGION's ten tasks in the paper's curriculum order."""
    return _read(TASKS_FILE)


@cache
def fifty_tasks() -> tuple[Task, ...]:
    """All of Meta-World's tasks: the ten first, then the other forty in alphabetical order."""
    return (*all_tasks(), *sorted(_read(FORTY_FILE), key=lambda task: task.name))


def task_set(name: TaskSet) -> tuple[Task, ...]:
    """LEGION's `ten` tasks or Meta-World's `fifty`.

    Raises:
        TaskError: another name.
    """
    sets = {"ten": all_tasks, "fifty": fifty_tasks}
    if name not in sets:
        raise TaskError(unknown("task set", name, sets))
    return sets[name]()


def task_names() -> tuple[str, ...]:
    """The canonical names of the ten in curriculum order."""
    return tuple(task.name for task in all_tasks())


def get_task(name: str, tasks: TaskSet = "fifty") -> Task:
    """The task of that canonical name in that set.

    Raises:
        TaskError: there is none; the message names those that look like it, then all.
    """
    known = {task.name: task for task in task_set(tasks)}
    if name not in known:
        raise TaskError(unknown("task", name, known))
    return known[name]


def require_here(wanted: Iterable[str], here: Collection[str]) -> None:
    """Whether a scene with the objects of the tasks `here` has those of all that are `wanted`; none: nobody knows.

    Raises:
        TaskError: it lacks some; the message says which, and what it has.
    """
    missing = [name for name in wanted if here and name not in here]
    if missing:
        raise TaskError(f"the scene has nothing for {', '.join(missing)}, only for {', '.join(here)}")


def _read(path: Path) -> tuple[Task, ...]:
    entries = load_yaml(path).items()
    return tuple(from_mapping(Task, {"name": name, **entry}, f"{path}: {name}") for name, entry in entries)
