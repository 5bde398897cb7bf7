"""Parameters of the nodes, and the options of a whole deployment."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import typing

from legion_ros.deployment import LAUNCH_ONLY, NODE_NAMES, DeploymentOptions
from legion_ros.parameters import Constraint
from reference.markdown import GENERATED, code, shown, table, type_name

INTRODUCTION = """\
Given on the command line (`--ros-args -p name:=value`), in a parameter file (`legion deploy --params-file FILE`), or in
`config/deploy.yaml`. One that is unknown, of the wrong type or out of range keeps the node from starting, and one line
says what is allowed. *Dynamic* ones may be set while the node runs.
"""
LAUNCH = """\
One description of the graph, two starters: `ros2 launch legion_ros deploy_iiwa.launch.py name:=value` where ROS 2 is
installed, `legion deploy --name value` everywhere. The entries of a cell's file have the same names
([several robots](../several_robots.md)).
"""


def page() -> str:
    """The parameters of every node."""
    parts = [f"# Node parameters\n{GENERATED}\n\n{INTRODUCTION}"]
    for node, settings in node_settings().items():
        about = (inspect.getdoc(importlib.import_module(f"legion_ros.nodes.{node}")) or "").removeprefix(f"{node}: ")
        rows = (_row(f, hint) for f, hint in _fields(settings))
        parts += [
            f"## {node}\n{about[:1].upper()}{about[1:]}",
            table(("parameter", "type", "default", "allowed", "meaning"), rows),
        ]
    return "\n".join(parts)


def launch_page() -> str:
    """The options of a deployment, for both starters."""
    rows = []
    for f, hint in _fields(DeploymentOptions):
        flag = "" if f.name in LAUNCH_ONLY and f.name != "network" else code("--" + f.name.replace("_", "-"))
        choices = ", ".join(code(choice) for choice in f.metadata["choices"] if choice)
        cells = (code(f"{f.name}:="), flag, type_name(hint), shown(f.default), f.metadata["help"], choices)
        rows.append(cells)
    head = ("launch", "legion deploy", "type", "default", "meaning", "choices")
    return f"# Launch arguments\n{GENERATED}\n\n{LAUNCH}{table(head, rows)}"


def node_settings() -> dict[str, type]:
    """The class of each node's parameters."""
    found = {}
    for node in NODE_NAMES:
        module = importlib.import_module(f"legion_ros.nodes.{node}")
        classes = (value for name, value in vars(module).items() if name.endswith("Settings"))
        found[node] = next(each for each in classes if each.__module__ == module.__name__)
    return found


def _fields(cls: type) -> list[tuple[dataclasses.Field[typing.Any], typing.Any]]:
    hints = typing.get_type_hints(cls)
    return [(f, hints[f.name]) for f in dataclasses.fields(cls)]


def _row(f: dataclasses.Field[typing.Any], hint: typing.Any) -> tuple[str, ...]:
    constraint: Constraint = f.metadata["constraint"]
    allowed = ", ".join(code(choice) or "empty" for choice in constraint.choices) or constraint.allowed
    text = constraint.description + " *(dynamic)*" * constraint.dynamic
    return code(f.name), type_name(hint), shown(f.default), allowed, text
