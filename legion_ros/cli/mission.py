"""`legion mission`: several tasks, one after the other, with their progress until the end."""

from __future__ import annotations

import argparse

from legion_core.mission import Mission, get_mission, load_missions, request_of
from legion_ros.cli.common import add_network_argument, enter_domain

LIST = "list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("mission", help=f"name in config/missions, a YAML file of your own, or {LIST!r}")
    parser.add_argument("--namespace", default="", help="ROS namespace of the deployment")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds to wait for a listener (10)")
    add_network_argument(parser)


def run(options: argparse.Namespace) -> int:
    """0 if the mission succeeded, 1 if it did not or nobody listens."""
    if options.mission == LIST:
        for mission in load_missions().values():
            print(_described(mission))
        return 0
    mission = get_mission(options.mission)
    enter_domain(options)
    from legion_ros.client import LegionClient
    from legion_ros.missions import Missions

    with LegionClient(options.namespace) as client:
        for told in Missions(client).carry_out(request_of(mission), options.timeout):
            print(told["text"], flush=True)
    return 0 if told["state"] == "succeeded" else 1


def _described(mission: Mission) -> str:
    steps = ", ".join(step.task for step in mission.steps)
    scene = f" (scene {mission.scene})" if mission.scene else ""
    return f"{mission.name}: {mission.title}: {steps}{scene}"
