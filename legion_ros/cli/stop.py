"""`legion stop`: the emergency stop of one deployment, or of all in the domain."""

from __future__ import annotations

import argparse

from legion_ros.cli.common import add_network_argument, enter_domain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--namespace", default="", help="ROS namespace of the deployment")
    which.add_argument("--all", action="store_true", help="every deployment in the ROS domain")
    parser.add_argument("--clear", action="store_true", help="clear the stop; motion starts again with the task")
    add_network_argument(parser)


def run(options: argparse.Namespace) -> int:
    """0 when every stop that was asked for is confirmed."""
    enter_domain(options)
    from legion_ros.client import LegionClient

    word = "cleared" if options.clear else "engaged"
    with LegionClient(options.namespace) as client:
        if options.all:
            for name in client.e_stop_everywhere(not options.clear):
                print(f"{name}: {word}", flush=True)
        else:
            client.e_stop(not options.clear)
            print(f"emergency stop {word}")
    return 0
