"""`legion train`: runs of LEGION, new or resumed, one or many at once."""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from legion_core.config import load_yaml, require
from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_ros.cli.common import GAP_ROBOT, ROBOT

if TYPE_CHECKING:
    from legion_core.learning.trainer import Bridges

PRESETS = "config/train"
DEFAULT_PRESET = "lifelong"
SETTINGS = ("mode", "order", "tasks", "demonstrations", "seed", "device", "processes")
"""Those with an argument of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "folder", metavar="RUN", help="new folder for the run (its policy is RUN/bundle), or with --resume an old one"
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"YAML settings, or a preset's name (default: {DEFAULT_PRESET})"
    )
    parser.add_argument("--mode", help="multitask, lifelong, few_shot or expanding")
    parser.add_argument("--order", nargs="+", metavar="ORDER", help="curriculum, random, reverse, or tasks in order")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="the tasks of the run")
    parser.add_argument("--demonstrations", help="scripted or none")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", help="cpu, or a GPU such as cuda")
    parser.add_argument("--processes", type=int, help="simulations at once")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="any setting, such as agent.batch=256 plan.rounds=4"
    )
    parser.add_argument("--resume", action="store_true", help="go on where the run stopped")
    parser.add_argument("--checkpoint", metavar="NUMBER", help="with --resume: from this checkpoint, not the newest")
    many = parser.add_argument_group("many runs at once, each in a folder RUN/ORDER-SEED")
    many.add_argument("--seeds", nargs="+", type=int, metavar="SEED")
    many.add_argument("--orders", nargs="+", metavar="ORDER")
    many.add_argument("--jobs", type=int, default=1, help="runs at once, each in its own process (1)")
    many.add_argument("--ray", metavar="ADDRESS", help="run them on a Ray cluster (auto, local, host:port)")


def run(options: argparse.Namespace) -> int:
    """0 when the run, or each of the runs, is complete."""
    from legion_core.learning.run_directory import RunDirectory
    from legion_core.learning.settings import run_settings
    from legion_core.learning.trainer import train

    command = shlex.join(["legion", *sys.argv[1:]])
    if options.resume:
        _refuse_changes(options)
        settings = run_settings(RunDirectory.read(options.folder).settings, f"{options.folder}/run.yaml")
    else:
        require(options.checkpoint is None, "--checkpoint", options.checkpoint, "together with --resume")
        data = _settings(options)
        if options.seeds or options.orders or options.ray:
            return _run_many(options, data, command)
        settings = run_settings(data, options.config or DEFAULT_PRESET)
    try:
        bundle = train(
            settings,
            options.folder,
            resume=options.resume,
            checkpoint=options.checkpoint,
            bridges=_bridges(),
            command=command,
        )
    except KeyboardInterrupt:
        print(f"\ninterrupted; 'legion train {options.folder} --resume' goes on", file=sys.stderr)
        raise
    for actuation, score in bundle.manifest.success.items():
        print(f"{actuation}: mean success {score['mean']:.3f}, worst task {score['worst']:.3f}")
    print(f"saved {options.folder}/bundle; 'legion report {options.folder}' draws the run")
    return 0


def _run_many(options: argparse.Namespace, data: Mapping[str, Any], command: str) -> int:
    """Every order with every seed."""
    from legion_core.cluster import job_pool
    from legion_core.learning.fan_out import RunJob, train_many
    from legion_core.learning.settings import run_settings

    orders = options.orders or [" ".join(data.get("order", ["curriculum"]))]
    seeds = options.seeds or [data.get("seed", 0)]
    jobs = []
    for order, seed in itertools.product(orders, seeds):
        settings = run_settings({**data, "order": order.split(), "seed": seed}, options.config or DEFAULT_PRESET)
        folder = Path(options.folder) / f"{order.replace(' ', '-')}-{seed}"
        jobs.append(RunJob(settings, str(folder.absolute()), _bridges(), command))
    with job_pool(options.jobs, options.ray) as pool:
        for job, mean in train_many(jobs, pool):
            print(f"{job.folder}: mean success {mean:.3f}", flush=True)
    return 0


def _bridges() -> Bridges:
    from legion_core.learning.trainer import Bridges
    from legion_sim2real.bridge import BridgeFactory

    return Bridges(BridgeFactory(ROBOT), BridgeFactory(GAP_ROBOT))


def _refuse_changes(options: argparse.Namespace) -> None:
    """A resumed run keeps its settings: another one would not be the same run any more."""
    for name in ("config", *SETTINGS, "seeds", "orders", "ray"):
        require(getattr(options, name) is None, f"--{name}", getattr(options, name), "nothing, with --resume")
    require(not options.set, "--set", options.set, "nothing, with --resume")


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The preset or file, with what the command line says on top."""
    source = options.config or DEFAULT_PRESET
    path = Path(source)
    data = load_yaml(path if path.suffix or path.is_file() else _preset(source))
    for name in SETTINGS:
        value = getattr(options, name)
        if value is not None:
            data[name] = value
    for assignment in options.set:
        _assign(data, assignment)
    return data


def _preset(name: str) -> Path:
    folder = resource(PRESETS)
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in names:
        raise ConfigurationError(f"--config {name}: no such file, nor a preset; presets: {', '.join(names)}")
    return folder / f"{name}.yaml"


def _assign(data: dict[str, Any], assignment: str) -> None:
    """Put `a.b=value`, the value in YAML, into nested mappings."""
    key, separator, text = assignment.partition("=")
    if not (separator and key):
        raise ConfigurationError(f"--set {assignment}: expected KEY=VALUE, such as agent.batch=256")
    *path, last = key.split(".")
    place = data
    for part in path:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigurationError(f"--set {assignment}: {part} is not a group of settings")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"--set {assignment}: the value is not valid YAML") from error
