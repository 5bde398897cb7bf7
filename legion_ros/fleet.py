"""A cell: several robots that are deployed side by side, each in a namespace of its own (config/cell.yaml)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legion_core import config
from legion_core.config import require
from legion_core.errors import ConfigurationError
from legion_ros.deployment import DeploymentOptions

FILES = ("robot", "policy", "params_file")
"""Options that may name a file beside the cell's."""


@dataclass(frozen=True)
class Cell:
    """The deployments of a cell, at least one.

    Raises:
        ConfigurationError: no robot, or two that would share a namespace or a command topic.
    """

    robots: tuple[DeploymentOptions, ...]

    def __post_init__(self) -> None:
        require(len(self.robots) > 0, "robots", [], "at least one")
        roots: dict[str, str] = {}
        commanded: dict[str, str] = {}
        for index, robot in enumerate(self.robots):
            here = f"robots[{index}]"
            _require_alone(roots, f"{here}: namespace", robot.root or "/", here)
            for topic in _command_topics(robot):
                _require_alone(commanded, f"{here}: command topic", topic, here)


def _require_alone(taken: dict[str, str], key: str, name: str, here: str) -> None:
    if name in taken:
        raise ConfigurationError(f"{key} = {name!r}; allowed: another than that of {taken[name]}")
    taken[name] = here


def _command_topics(robot: DeploymentOptions) -> list[str]:
    """The full names of what the robot is commanded on: an absolute name in a profile escapes the namespace."""
    topics = robot.profile.topics
    names = (topics.position_command, topics.trajectory_command, topics.pose_command, robot.profile.gripper.command)
    return [name if name.startswith("/") else f"{robot.root}/{name}" for name in names]


def load_cell(path: Path | str) -> Cell:
    """The cell in that YAML file; files that its robots name may lie beside it.

    Raises:
        ConfigurationError: the file is missing or malformed; the message names file, robot, key and what is allowed.
    """
    cell = config.load(_CellFile, path)
    folder = Path(path).resolve().parent
    robots = []
    for index, given in enumerate(cell.robots):
        values = {
            key: str(folder / value) if key in FILES and value and (folder / str(value)).exists() else value
            for key, value in given.items()
        }
        robots.append(config.from_mapping(DeploymentOptions, values, f"{path}: robots[{index}]"))
    try:
        return Cell(tuple(robots))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _CellFile:
    robots: tuple[dict[str, Any], ...]
