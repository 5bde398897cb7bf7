"""What stands in YAML files: robot profile, safety file, training."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from legion_core.config import load_yaml
from legion_core.learning.settings import MultitaskSettings, RunSettings
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.robot import RobotProfile
from reference.markdown import GENERATED, code, dataclass_in, shown, table, type_name

CONFIG = Path(__file__).resolve().parents[2] / "config"
LONGEST = 60
"""Longer values are left to the file."""
ROBOT = """\
What every key means and how to choose it is told in [another robot](../own_robot.md); here are the types, and the
values that are shipped. A key that is unknown, missing or out of range is one line that names file, key, value and what
is allowed.
"""
TRAINING = """\
In a YAML file (`legion train RUN --config FILE`) or one by one (`--set agent.batch=256`). Presets: {presets}. The
defaults are the authors' coefficients; what the modes mean is told in [learning](../learning.md).
"""


def robot_page() -> str:
    """The keys of a robot's profile and of its safety file."""
    profiles = {name: load_yaml(CONFIG / "robots" / f"{name}.yaml") for name in ("mujoco", "lbr")}
    limits = {name: load_yaml(CONFIG / f"{name}.yaml") for name in ("safety_mujoco", "safety")}
    parts = [f"# Robot profile and safety file\n{GENERATED}\n\n{ROBOT}\n## Profile", *_keys(RobotProfile, profiles)]
    return "\n".join([*parts, "## Safety file", *_keys(SafetyLimits, limits)])


def training_page() -> str:
    """The settings of `legion train`."""
    presets = ", ".join(code(file.stem) for file in sorted((CONFIG / "train").glob("*.yaml")))
    parts = [f"# Configuration of training\n{GENERATED}\n\n{TRAINING.format(presets=presets)}"]
    for name, cls in _sections(RunSettings, ""):
        texts = field_texts(cls)
        rows = ((code(f.name), type_name(hint), _default(f), texts.get(f.name, "")) for f, hint in _fields(cls))
        parts += [f"## {name or 'The run'}\n{_prose(cls)}", table(("key", "type", "default", "meaning"), rows)]
    usual = {f.name: _default(f) for f in dataclasses.fields(type(RunSettings().agent))}
    changed = {f.name: _default(f) for f in dataclasses.fields(MultitaskSettings) if _default(f) != usual[f.name]}
    words = ", ".join(f"`{key}` {value}" for key, value in changed.items())
    return "\n".join([*parts, f"\nWith `mode: multitask` the agent's defaults differ: {words}."])


def field_texts(cls: type) -> dict[str, str]:
    """The text below each field of a dataclass, those of its base classes included."""
    texts: dict[str, str] = {}
    for each in reversed(cls.__mro__[:-1]):
        definition = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(definition, ast.ClassDef)
        for line, below in itertools.pairwise(definition.body):
            if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr):
                texts[ast.unparse(line.target)] = str(ast.literal_eval(below.value))
    return texts


def _keys(cls: type, files: Mapping[str, Any], group: str = "") -> Iterator[str]:
    """What the class says, a table of its fields with their values in the files, and its groups of fields."""
    groups, rows = [], []
    for f, hint in _fields(cls):
        values = {name: data.get(f.name) for name, data in files.items()}
        if inner := dataclass_in(hint):
            groups.append((f"{group}{f.name}", inner, {name: value or {} for name, value in values.items()}))
        else:
            texts = (shown(value) for value in values.values())
            rows.append((code(f.name), type_name(hint), *(t if len(t) < LONGEST else "see there" for t in texts)))
    yield _prose(cls)
    yield table(("key", "type", *(code(f"{name}.yaml") for name in files)), rows)
    for name, inner, values in groups:
        yield f"### {name}"
        yield from _keys(inner, values, f"{name}.")


def _sections(cls: type, name: str) -> Iterator[tuple[str, type]]:
    """The class and the classes of its fields, with the keys that lead to them."""
    yield name, cls
    for f, hint in _fields(cls):
        if inner := dataclass_in(hint):
            yield from _sections(inner, f"{name}.{f.name}".removeprefix("."))


def _fields(cls: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(cls)
    return [(f, hints[f.name]) for f in dataclasses.fields(cls) if f.init]


def _default(f: dataclasses.Field[Any]) -> str:
    if f.default_factory is not dataclasses.MISSING:
        return "below"
    return "" if f.default is dataclasses.MISSING else shown(f.default)


def _prose(cls: type) -> str:
    """The docstring of a class, without what it raises."""
    return (inspect.getdoc(cls) or "").split("\nRaises:")[0].strip() + "\n"
