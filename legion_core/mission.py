"""Missions: named sequences of tasks, from `config/missions/*.yaml`, one file each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legion_core.config import from_mapping, load_yaml, require
from legion_core.errors import ConfigurationError, TaskError, unknown
from legion_core.resources import resource
from legion_core.tasks import get_task

MISSIONS = "config/missions"
FILE_SUFFIXES = (".yaml", ".yml")
MAXIMUM_STEPS = 50


@dataclass(frozen=True)
class MissionStep:
    """One task of a mission.

    An attempt ends without success after `timeout_s` (s); there are at most so many `attempts`. `approach_m` is where
    the hand goes before each of them (sim frame, m): by default to where the policy has learned to begin that task.

    Raises:
        ConfigurationError: an unknown task, or a value out of range.
    """

    task: str
    timeout_s: float = 12.0
    attempts: int = 3
    approach_m: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        try:
            get_task(self.task, "ten")
        except TaskError as error:
            raise ConfigurationError(f"task: {error}") from error
        require(0 < self.timeout_s <= 3600, "timeout_s", self.timeout_s, "above 0, to 3600")
        require(1 <= self.attempts <= 100, "attempts", self.attempts, "1 to 100")
        near = self.approach_m is None or all(abs(part) <= 2.0 for part in self.approach_m)
        require(near, "approach_m", self.approach_m, "three numbers within 2 m of the frame's origin")


@dataclass(frozen=True)
class Mission:
    """A sequence of `steps`, called by its `name`, shown as `title`, asked for by one of its `phrases`.

    `scene` names the composite scene of the simulator that has all its objects; empty where any will do.

    Raises:
        ConfigurationError: no step, or too many.
    """

    name: str
    title: str
    steps: tuple[MissionStep, ...]
    phrases: tuple[str, ...] = ()
    scene: str = ""

    def __post_init__(self) -> None:
        require(bool(self.title.strip()), "title", self.title, "a few words")
        require(0 < len(self.steps) <= MAXIMUM_STEPS, "steps", len(self.steps), f"1 to {MAXIMUM_STEPS} of them")
        for phrase in self.phrases:
            require(bool(phrase.strip()), "phrases", phrase, "sentences")


def load_mission(path: Path | str) -> Mission:
    """The mission in a YAML file, which names it.

    Raises:
        ConfigurationError: the file is missing or malformed; the message names file, key, value and what is allowed.
    """
    return from_mapping(Mission, {**_settings(Path(path)), "name": Path(path).stem}, str(path))


def load_missions(folder: Path | str | None = None) -> dict[str, Mission]:
    """The missions in a folder, by default those of the package, by name.

    Raises:
        ConfigurationError: a file is malformed, or two missions have the same phrase.
    """
    files = sorted(file for file in Path(folder or resource(MISSIONS)).glob("*") if file.suffix in FILE_SUFFIXES)
    missions = {file.stem: load_mission(file) for file in files}
    owners: dict[str, str] = {}
    for name, mission in missions.items():
        for phrase in mission.phrases:
            other = owners.setdefault(phrase.casefold(), name)
            require(other == name, f"{name}: phrases", phrase, f"sentences of one mission; {other} has it")
    return missions


def get_mission(name: str) -> Mission:
    """The mission of that name, or in that YAML file.

    Raises:
        ConfigurationError: there is none, or it is malformed.
    """
    return load_mission(name) if name.endswith(FILE_SUFFIXES) else _packaged(name)


def parse_request(text: str) -> Mission:
    """The mission that a request on `legion/mission/request` means: JSON with the `name` of one, or with `steps`.

    A step is the name of a task, or a mapping as in a file.

    Raises:
        ConfigurationError: neither of them, or malformed; the message names key, value and what is allowed.
    """
    source = "mission request"
    malformed = ConfigurationError(f"{source} = {text[:80]!r}; allowed: a JSON object with name or steps")
    try:
        wish = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise malformed from error
    if not isinstance(wish, dict):
        raise malformed
    if set(wish) == {"name"} and isinstance(wish["name"], str):
        return _packaged(wish["name"])
    if not isinstance(wish.get("steps"), list):
        raise malformed
    steps = [{"task": step} if isinstance(step, str) else step for step in wish["steps"]]
    title = wish.get("title") or ", then ".join(str(step.get("task")) for step in steps if isinstance(step, dict))
    return from_mapping(Mission, {"name": "", **wish, "title": title, "steps": steps}, source)


def request_of(mission: Mission) -> str:
    """The request that means this mission, whether or not the listener has its file."""
    return json.dumps(asdict(mission))


def _packaged(name: str) -> Mission:
    missions = load_missions()
    if name not in missions:
        raise ConfigurationError(unknown("mission", name, missions))
    return missions[name]


def _settings(path: Path) -> dict[str, Any]:
    settings = load_yaml(path)
    if "name" in settings:
        raise ConfigurationError(
            f"{path}: name = {settings['name']!r}; allowed: none, the file's name is the mission's"
        )
    return settings
