"""`legion say`: one sentence to a running deployment."""

from __future__ import annotations

import argparse

from legion_ros.cli.common import add_network_argument, enter_domain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("sentence", help="what to do, such as \"press the button\"; '' stops, 'what can you do' lists")
    parser.add_argument("--namespace", default="", help="ROS namespace of the deployment")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds to wait for a listener (10)")
    add_network_argument(parser)


def run(options: argparse.Namespace) -> int:
    """0 if the sentence was understood, 1 if it was refused or nobody listens."""
    enter_domain(options)
    from legion_ros.client import LegionClient

    with LegionClient(options.namespace) as client:
        reply = client.say(options.sentence, options.timeout)
    print(reply.text if reply.accepted else f"not understood; {reply.text}" if reply.text else "not understood")
    return 0 if reply.accepted else 1
