"""The file of a cell: what it may say, and errors that name file, robot and key."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.fleet import load_cell


def write(folder: Path, robots: Any) -> Path:
    file = folder / "cell.yaml"
    file.write_text(yaml.safe_dump({"robots": robots}), encoding="utf-8")
    return file


def test_the_example_is_two_simulated_arms() -> None:
    cell = load_cell(resource("config/cell.yaml"))
    assert [robot.root for robot in cell.robots] == ["/left", "/right"]
    assert all("mujoco_node" in {spec.name for spec in deployment_graph(robot)} for robot in cell.robots)


def test_files_may_lie_beside_the_cell_s(tmp_path: Path) -> None:
    shutil.copy(resource("config/robots/lbr.yaml"), tmp_path / "my_arm.yaml")
    cell = load_cell(write(tmp_path, [{"robot": "my_arm.yaml"}, {"robot": "mujoco", "namespace": "b"}]))
    assert cell.robots == (
        DeploymentOptions(robot=str(tmp_path / "my_arm.yaml")),
        DeploymentOptions(robot="mujoco", namespace="b"),
    )


@pytest.mark.parametrize(
    ("robots", "message"),
    [
        ([], r"cell.yaml: robots = \[\]; allowed: at least one"),
        ("left", "cell.yaml: robots = 'left'; expected a list"),
        (["left"], r"cell.yaml: robots\[0\] = 'left'; expected a mapping"),
        ([{"name": "left"}], r"cell.yaml: robots\[0\]: unknown key 'name' .*; allowed: robot, policy"),
        ([{"seed": "one"}], r"cell.yaml: robots\[0\]: seed = 'one'; expected int"),
        ([{"robot": "kuka"}], r"cell.yaml: robots\[0\]: unknown robot 'kuka'; allowed: gazebo"),
        (
            [{"namespace": "a"}, {"namespace": "b"}, {"namespace": "/a/"}],
            r"cell.yaml: robots\[2\]: namespace = '/a'; allowed: another than that of robots\[0\]",
        ),
        ([{}, {}], r"robots\[1\]: namespace = '/'; allowed: another than that of robots\[0\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, robots: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_cell(write(tmp_path, robots))


def test_two_robots_that_would_command_the_same_arm_are_refused(tmp_path: Path) -> None:
    profile = resource("config/robots/lbr.yaml").read_text(encoding="utf-8")
    absolute = profile.replace("position_command: lbr/", "position_command: /lbr/")
    (tmp_path / "arm.yaml").write_text(absolute, encoding="utf-8")
    robots = [{"robot": "arm.yaml", "namespace": name} for name in ("a", "b")]
    topic = "/lbr/forward_position_controller/commands"
    with pytest.raises(ConfigurationError, match=rf"robots\[1\]: command topic = '{topic}'; allowed: another than"):
        load_cell(write(tmp_path, robots))
