"""Topics and services: who publishes, hears, answers and asks what, of which type and quality of service."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import legion_ros
from legion_ros import topics
from legion_ros.deployment import NODE_NAMES, PACKAGE, DeploymentOptions, deployment_graph
from legion_ros.robot_io import COMMAND_KINDS
from legion_ros.security import OPERATOR, Access, access_of, operator_access
from legion_sim2real.robot import RobotProfile
from reference.markdown import GENERATED, code, table

EVERY_NODE = DeploymentOptions(web=True, voice="topic", record="run")
"""A simulated deployment with all nodes."""
QUALITIES = {
    "STREAM": "reliable, newest",
    "SENSOR": "best effort, newest",
    "EVENT": "reliable, 10",
    "LATCHED": "reliable, latched",
    "INBOX": "best effort",
    "SOUND": "reliable, all",
}
"""The profiles of legion_ros.qos in words, and that of voice_node."""
MAKERS = {
    "create_publisher": ("publish", ""),
    "own_publisher": ("publish", "STREAM"),
    "command_publisher": ("publish", "STREAM"),
    "create_subscription": ("subscribe", ""),
    "own_subscription": ("subscribe", "STREAM"),
    "Inbox": ("subscribe", "INBOX"),
    "create_service": ("reply", ""),
    "create_client": ("request", ""),
}
"""Functions that make an end of a topic or service, and the quality that they choose where none is named."""
COMMON = ("/parameter_events", "/rosout", "/robot_description", "/lbr/robot_description")
"""What every node has, and what other packages publish."""
INTRODUCTION = f"""\
Names without a leading slash are relative: the namespace of a deployment goes before them. Those of the robot and its
gripper are named in its profile; shown are those of the profile `mujoco`. What a node may do is what the SROS 2 policy
grants it ([security](../security.md)); parameters, lifecycle and rosout, which every node has, are left out.
`{OPERATOR}` stands for the commands of `legion` and whatever else uses `LegionClient`. Others that speak or listen
(drivers, cameras, RViz) are not shown.
"""
QUALITY = """
Quality is that of the publisher: *latched* is transient local with depth 1, *newest* keeps the last sample, a number is
the depth.
"""


class Endpoint(NamedTuple):
    """What a line of code says of a topic or service."""

    kind: str
    quality: str


def page() -> str:
    """The tables of topics and services."""
    users = _users()
    publish, hear = users["publish"], users["subscribe"]
    answer, ask = users["reply"], users["request"]
    return "\n".join(
        [
            f"# Topics and services\n{GENERATED}\n\n{INTRODUCTION}\n## Topics",
            table(
                ("topic", "type", "quality", "published by", "heard by", "what it carries"),
                (
                    (code(name), code(end.kind), QUALITIES.get(end.quality, ""), publish[name], hear[name], text)
                    for name, end, text in _described("publish", "subscribe", users)
                ),
            ),
            QUALITY,
            "## Services",
            table(
                ("service", "type", "answered by", "asked by", "what it is about"),
                (
                    (code(name), code(end.kind), answer[name], ask[name], text)
                    for name, end, text in _described("reply", "request", users)
                ),
            ),
        ]
    )


def accesses() -> dict[str, Access]:
    """What each node, and the operator, may use in a simulated deployment with all nodes."""
    graph = [spec for spec in deployment_graph(EVERY_NODE) if spec.package == PACKAGE]
    return {spec.name: access_of(spec, EVERY_NODE) for spec in graph} | {OPERATOR: operator_access(EVERY_NODE)}


def meanings() -> dict[str, str]:
    """What each topic and service carries: in legion_ros/topics.py the text below its constant; then the robot's."""
    body, profile = ast.parse(inspect.getsource(topics)).body, EVERY_NODE.profile
    ours = {
        getattr(topics, ast.unparse(line.targets[0])): str(ast.literal_eval(below.value))
        for line, below in itertools.pairwise(body)
        if isinstance(line, ast.Assign) and isinstance(below, ast.Expr)
    }
    return ours | {
        profile.state_topic: "Where the robot says it is: joint positions (rad), velocities, efforts.",
        profile.command_topic: "Guarded joint positions (rad), or a pose of the hand where the profile says so.",
        profile.gripper.state: "Where the gripper's fingers are.",
        profile.gripper.command: "Where they should go.",
        "/clock": "The simulator's time, where it is not the wall clock.",
    }


def endpoints() -> dict[tuple[str, str], Endpoint]:
    """(publish, subscribe, reply or request; name) of every end that the source makes, a node's own first."""
    profile = EVERY_NODE.profile
    command = COMMAND_KINDS[profile.command_interface]
    kind = f"{command.__module__.split('.')[0]}/{command.__name__}"
    found = {("publish", profile.command_topic): Endpoint(kind, "STREAM")}
    files = Path(legion_ros.__file__).parent.rglob("*.py")
    for file in sorted(files, key=lambda file: (file.parent.name != "nodes", file)):
        for role, name, end in _endpoints_in(ast.parse(file.read_text(encoding="utf-8")), profile):
            found.setdefault((role, name), end)
    return found


def _users() -> dict[str, dict[str, str]]:
    """By role and name, who has it."""
    users: dict[str, dict[str, str]] = {f.name: defaultdict(str) for f in dataclasses.fields(Access)}
    for node, access in accesses().items():
        for role, names in users.items():
            for full in getattr(access, role):
                name = full if full.startswith(("/clock", "/diagnostics")) else full.removeprefix("/")
                names[name] = f"{names[name]}, {node}".removeprefix(", ")
    return users


def _described(offer: str, take: str, users: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, Endpoint, str]]:
    """Every name of either role that is the graph's own, what the code says of it, and what it carries."""
    ends, texts = endpoints(), meanings()
    for name in sorted({*users[offer], *users[take]}):
        nodes_own = any(part in (*NODE_NAMES, OPERATOR) for part in name.split("/"))
        if not nodes_own and f"/{name.removeprefix('/')}" not in COMMON:
            yield name, ends.get((offer, name)) or ends.get((take, name)) or Endpoint("", ""), texts.get(name, "")


def _endpoints_in(tree: ast.Module, profile: RobotProfile) -> Iterator[tuple[str, str, Endpoint]]:
    kinds = _message_kinds(tree)
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called not in MAKERS:
            continue
        role, quality = MAKERS[called]
        texts = [ast.unparse(argument) for argument in call.args]
        kind = next((kinds[text] for text in texts if text in kinds), "")
        quality = next((text for text in texts if text in QUALITIES), quality)
        for text in texts if kind else ():
            if name := _name(text, profile):
                yield role, name, Endpoint(kind, quality)


def _message_kinds(tree: ast.Module) -> dict[str, str]:
    """The messages and services that a file imports, as ROS names them, by their names there."""
    imports = (line for line in ast.walk(tree) if isinstance(line, ast.ImportFrom))
    return {
        each.asname or each.name: f"{line.module.split('.')[0]}/{each.name}"
        for line in imports
        if line.module and line.module.endswith((".msg", ".srv"))
        for each in line.names
    }


def _name(text: str, profile: RobotProfile) -> str:
    """The topic or service that an expression of the source stands for; empty where it is none."""
    constant = text.removeprefix("topics.")
    if constant.isupper() and hasattr(topics, constant):
        return str(getattr(topics, constant))
    if text.startswith(("profile.topics.", "profile.gripper.")):
        value: Any = profile
        for part in text.split(".")[1:]:
            value = getattr(value, part, "")
        return str(value)
    return text.strip("'") if text.startswith("'/") else ""
