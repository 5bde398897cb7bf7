"""The Python API: the public modules, for mkdocstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial

PUBLIC = {
    "legion_core": (
        *("policy", "bundle", "knowledge", "understanding", "language", "embedding", "phrases", "tasks", "spaces"),
        *("mission", "mission_run", "success", "evaluation", "sim", "sim.plant", "sim.reality_gap", "mixture"),
        *("learning.settings", "learning.trainer", "report", "errors"),
    ),
    "legion_sim2real": (
        *("bridge", "robot", "limits", "calibration", "camera", "registration", "kinematics", "real2sim", "sim2real"),
        *("guard", "interventions", "watchdog", "collision", "filters"),
    ),
    "legion_ros": (
        *("client", "deployment", "starter", "fleet", "security", "topics", "reply", "parameters", "diagnostics"),
        *("aggregation", "mending", "evaluation", "recording.recording", "recording.replay"),
    ),
}
"""Modules that others may build on; names that begin with an underscore may change without notice."""


def page_of(package: str) -> Callable[[], str]:
    """What makes the page of a package."""
    return partial(_page, package)


def _page(package: str) -> str:
    about = inspect.getdoc(importlib.import_module(package)) or ""
    modules = (f"## {package}.{name}\n\n::: {package}.{name}\n" for name in PUBLIC[package])
    return "\n".join([f"# {package}\n{about}\n", *modules])
