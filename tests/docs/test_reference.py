"""The generated reference: nothing that the code has is missing."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from reference import PAGES, TABLES, api, commands, graph, parameters, settings

from legion_core.learning.settings import RunSettings
from legion_ros import topics
from legion_ros.cli.main import COMMANDS
from legion_ros.deployment import NODE_NAMES, DeploymentOptions
from legion_ros.mending import GUARD, Problem
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.robot import RobotProfile

DOCS = Path(__file__).resolve().parents[2] / "docs"


def rows_of(page: str) -> dict[str, list[str]]:
    """The cells of each row of the tables of a page, by the first one."""
    rows = [re.split(r" ?(?<!\\)\| ?", line.strip("|\n ")) for line in page.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells for cells in rows}


def section(page: str, title: str) -> str:
    """What stands below a heading of the second level."""
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_topic_is_there_with_type_users_and_meaning() -> None:
    page = graph.page()
    rows = {**rows_of(section(page, "Services")), **rows_of(section(page, "Topics"))}
    names = {value for name, value in vars(topics).items() if name.isupper()}
    assert names <= set(rows)
    for name in names - {topics.SIM_RESET}:
        _, kind, quality, publishers, hearers, meaning = rows[name]
        assert re.fullmatch(r"`\w+_msgs/\w+`", kind), name
        assert quality, name
        assert publishers or hearers, name
        assert meaning.endswith("."), name


def test_the_topics_are_those_of_the_nodes() -> None:
    rows = rows_of(section(graph.page(), "Topics"))
    assert rows[topics.OBSERVATION][1:4] == ["`sensor_msgs/JointState`", "reliable, newest", "real2sim_node"]
    assert "policy_node" in rows[topics.OBSERVATION][4]
    assert rows[topics.TASK][1:4] == ["`std_msgs/String`", "reliable, latched", "language_node"]
    assert rows["lbr/joint_states"][1] == "`sensor_msgs/JointState`"
    assert "policy_node" in rows[topics.E_STOP][4]
    services = rows_of(section(graph.page(), "Services"))
    assert services[topics.E_STOP][1:3] == ["`std_srvs/SetBool`", "sim2real_node"]
    assert services[topics.SIM_RESET][1] == "`std_srvs/Trigger`"


def test_every_node_runs_in_the_deployment_that_is_shown() -> None:
    assert set(NODE_NAMES) <= set(graph.accesses())


@pytest.mark.parametrize("node", NODE_NAMES)
def test_every_parameter_of_a_node_is_there(node: str) -> None:
    rows = rows_of(section(parameters.page(), node))
    fields = dataclasses.fields(parameters.node_settings()[node])
    assert set(rows) == {f.name for f in fields}
    for f in fields:
        constraint = f.metadata["constraint"]
        assert constraint.description in rows[f.name][-1]
        assert ("dynamic" in rows[f.name][-1]) == constraint.dynamic


def test_every_launch_argument_is_there() -> None:
    rows = rows_of(parameters.launch_page())
    for f in dataclasses.fields(DeploymentOptions):
        assert f.metadata["help"] in rows[f"{f.name}:="]
    assert rows["robot:="][1] == "`--robot`"
    assert rows["bringup:="][1] == "", "that is the launch file's alone"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_of_a_command_is_there(command: str) -> None:
    text = section(commands.page(), f"legion {command}")
    for flag in flags_of(commands.parser_of(command)):
        assert f"`{flag}" in text


def flags_of(parser: argparse.ArgumentParser) -> list[str]:
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [flag for way in action.choices.values() for flag in flags_of(way)]
        elif not isinstance(action, argparse._HelpAction):
            found += action.option_strings
    return found


def keys_of(cls: type) -> set[str]:
    """The keys of a dataclass in YAML and those of its groups."""
    keys = set()
    for f, hint in settings._fields(cls):
        inner = settings.dataclass_in(hint)
        keys |= keys_of(inner) if inner else {f.name}
    return keys


def test_every_key_of_a_robot_is_there_with_its_values_and_explained() -> None:
    rows = rows_of(settings.robot_page())
    guide = (DOCS / "own_robot.md").read_text(encoding="utf-8")
    assert set(rows) == keys_of(RobotProfile) | keys_of(SafetyLimits)
    assert rows["driver"][1:] == ["`mujoco` or `gazebo` or `ros2_control`", "`mujoco`", "`ros2_control`"]
    assert rows["interpolation_rate_hz"][1] == "number or `null`"
    assert [key for key in rows if f"`{key}`" not in guide] == []


def test_every_setting_of_training_is_there() -> None:
    page = settings.training_page()
    assert keys_of(RunSettings) <= set(rows_of(page))
    assert "## agent.mixture\n" in page
    assert rows_of(section(page, "The run"))["mode"][1] == "`multitask` or `lifelong` or `few_shot` or `expanding`"
    assert "`batch` `1280`" in page.splitlines()[-1]


def test_every_problem_and_intervention_is_there() -> None:
    assert set(rows_of(TABLES["problems"]())) == {problem.value for problem in Problem}
    assert set(rows_of(TABLES["interventions"]())) == {intervention.value for intervention in GUARD}


def test_every_page_of_the_reference_begins_with_its_title() -> None:
    for place, page in PAGES.items():
        assert page().startswith("# "), place
    assert {f"reference/{package}.md" for package in api.PUBLIC} <= set(PAGES)
