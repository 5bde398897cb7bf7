"""`legion deploy`: the whole graph as processes, with live progress."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import sys
import time
import typing
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from legion_core.config import require
from legion_core.errors import DeploymentError
from legion_ros.cli.common import add_network_argument, enter_domain
from legion_ros.cli.progress import Progress, summary
from legion_ros.deployment import LAUNCH_ONLY, DeploymentOptions, deployment_graph
from legion_ros.fleet import load_cell
from legion_ros.starter import Starter, log_folder

if TYPE_CHECKING:
    from legion_ros.client import LegionClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command: the deployment's options and how long to stay."""
    add_deployment_arguments(parser)
    parser.add_argument("--cell", default="", metavar="FILE", help="several robots: a file as config/cell.yaml")
    parser.add_argument("--once", action="store_true", help="end with the task: exit code 0 if it is done, 1 if not")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="with --once: seconds to do it (60)")
    add_network_argument(parser)


def add_deployment_arguments(parser: argparse.ArgumentParser) -> None:
    """One argument for each field of DeploymentOptions."""
    hints = typing.get_type_hints(DeploymentOptions)
    for f in dataclasses.fields(DeploymentOptions):
        if f.name in LAUNCH_ONLY:
            continue
        flag, text = "--" + f.name.replace("_", "-"), f.metadata["help"]
        if hints[f.name] is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=f.default, help=text)
            continue
        choices = [choice for choice in f.metadata["choices"] if choice]
        shown = f"{text} ({', '.join(choices)})" if choices else text
        parser.add_argument(flag, type=hints[f.name], default=f.default, metavar=f.name.upper(), help=shown)


def deployment_options(options: argparse.Namespace) -> DeploymentOptions:
    """The deployment's part of the parsed arguments."""
    names = (f.name for f in dataclasses.fields(DeploymentOptions) if f.name not in LAUNCH_ONLY)
    return DeploymentOptions(**{name: getattr(options, name) for name in names})


def run(options: argparse.Namespace) -> int:
    """0 after Ctrl-C or, with --once, after success."""
    deployment = deployment_options(options)
    if options.cell:
        return _run_cell(options, deployment)
    require(not options.once or bool(deployment.instruction), "once", True, "only with --instruction")
    require(
        not options.once or deployment.profile.driver == "mujoco",
        "once",
        True,
        "only with driver mujoco, whose simulator knows when a task is done",
    )
    domain = enter_domain(options)
    signal.signal(signal.SIGTERM, _end)
    from legion_ros.client import LegionClient

    with Starter(deployment_graph(deployment)) as starter, LegionClient(deployment.root) as client:
        progress = Progress(sys.stderr)
        try:
            return _operate(options, deployment, domain, starter, client, progress)
        except KeyboardInterrupt:
            return 130 if options.once else 0
        finally:
            progress.close()


def _run_cell(options: argparse.Namespace, given: DeploymentOptions) -> int:
    """0 after Ctrl-C. Who loses its graph stops; the other robots of the cell go on."""
    require(
        given == DeploymentOptions(), "cell", options.cell, "without options of a single deployment: write them there"
    )
    require(not options.once, "once", True, "not with a cell")
    cell = load_cell(options.cell)
    for robot in cell.robots:
        require(not robot.bringup, "bringup", robot.bringup, "only with ros2 launch legion_ros deploy_cell.launch.py")
    domain = enter_domain(options)
    signal.signal(signal.SIGTERM, _end)
    progress, logs = Progress(sys.stderr), log_folder()
    with contextlib.ExitStack() as stack:
        starters = {
            robot.root or "/": stack.enter_context(Starter(deployment_graph(robot), logs / robot.root.strip("/")))
            for robot in cell.robots
        }
        try:
            for robot in cell.robots:
                _bring_up(starters[robot.root or "/"], robot, progress)
            progress.line(f"running {len(starters)} robots in domain {domain} (logs: {logs}), Ctrl-C ends")
            while starters:
                _watch_cell(starters, progress)
                time.sleep(0.05)
        except KeyboardInterrupt:
            return 0
    raise DeploymentError("no robot of the cell is left")


def _bring_up(starter: Starter, robot: DeploymentOptions, progress: Progress) -> None:
    from legion_ros.client import LegionClient

    for event in starter.wait_ready():
        progress.line(f"{robot.root or '/'}: {event}")
    if robot.instruction:
        with LegionClient(robot.root) as client:
            _instruct(client, robot.instruction, progress)


def _watch_cell(starters: dict[str, Starter], progress: Progress) -> None:
    """One look at every process; a graph that is lost is stopped and taken out."""
    for root, starter in list(starters.items()):
        try:
            events = starter.poll()
        except DeploymentError as error:
            events = [f"{error}; this robot is stopped"]
            starters.pop(root).stop()
        for event in events:
            progress.line(f"{root}: {event}")


def _operate(
    options: argparse.Namespace,
    deployment: DeploymentOptions,
    domain: int,
    starter: Starter,
    client: LegionClient,
    progress: Progress,
) -> int:
    """From the first process to the end of the operator's wishes."""
    began = time.monotonic()
    for event in starter.wait_ready():
        progress.line(event)
    progress.line(f"all nodes are active after {time.monotonic() - began:.1f} s (logs: {starter.folder})")
    if deployment.web and not starter["web_node"].lost:
        progress.line(f"the operator's page is on http://{deployment.web_host}:{deployment.web_port}")
    if not options.once:
        where = f"domain {domain}, namespace {deployment.root or '/'}"
        progress.line(f'running in {where}; legion say "..." gives a task, Ctrl-C ends')
    understood = not deployment.instruction or _instruct(client, deployment.instruction, progress)
    if not options.once:
        while True:
            _watch(starter, client, progress)
    return _until_done(starter, client, progress, options.timeout) if understood else 1


def _instruct(client: LegionClient, sentence: str, progress: Progress) -> bool:
    reply = client.say(sentence)
    progress.line(f'"{sentence}": {reply.text}' if reply.accepted else f'"{sentence}" is not understood; {reply.text}')
    return reply.accepted


def _until_done(starter: Starter, client: LegionClient, progress: Progress, timeout_s: float) -> int:
    """Until the task is done or the time is up."""
    began = time.monotonic()
    # the simulator changes its scene when it hears of the task: what came before is another episode's
    client.wait(lambda: client.status_value("mujoco_node", "task") == client.task, 5.0)
    while client.success is None and time.monotonic() - began < timeout_s:
        _watch(starter, client, progress)
    print(summary(client, time.monotonic() - began))
    if client.success is None:
        return 1
    with contextlib.suppress(DeploymentError):
        client.say("", timeout_s=2.0)
    return 0


def _watch(starter: Starter, client: LegionClient, progress: Progress) -> None:
    """A tenth of a second of looking after everything."""
    client.spin(0.1)
    for event in starter.poll():
        progress.line(event)
    progress.show(client)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a deployment as Ctrl-C does: through the context managers that end the processes."""
    raise KeyboardInterrupt
