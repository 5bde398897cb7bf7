"""`legion record`: write everything a running deployment says to an MCAP file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from legion_core.config import require
from legion_ros.cli.common import add_network_argument, enter_domain
from legion_ros.deployment import DeploymentOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        *("-o", "--output"), default="", metavar="NAME", help=".mcap: a file, else a folder as ros2 bag record makes it"
    )
    parser.add_argument("--namespace", default="", help="ROS namespace of the deployment (default: none)")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="seconds (default: until Ctrl-C)")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="besides those of the deployment")
    add_network_argument(parser)


def run(options: argparse.Namespace) -> int:
    """0 when the recording is complete; 1 when a replay of it would lack the robot or the policy."""
    require(0 <= options.duration <= 1e6, "duration", options.duration, "0 to 1000000 s")
    root = DeploymentOptions(namespace=options.namespace).root
    enter_domain(options)
    from legion_ros.nodes.record_node import NAME, RecordNode, record
    from legion_ros.security import enclave_arguments

    def began(node: RecordNode) -> None:
        print(f"recording to {node.bag.file}, Ctrl-C ends", file=sys.stderr)

    given = {"file": options.output and str(Path(options.output)), "duration_s": options.duration}
    given["more"] = " ".join(options.topics)
    arguments = ["--ros-args", *enclave_arguments(root, NAME)]
    arguments += [*(("-r", f"__ns:={root}") if root else ())]
    for name, value in given.items():
        arguments += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]  # YAML knows no pairs of escapes
    node = record(arguments, began)
    print(f"{node.bag.messages} messages, {1e-6 * node.bag.size_bytes:.1f} MB in {node.bag.folder or node.bag.file}")
    if node.unheard:
        print(f"legion record: nothing was said on {', '.join(node.unheard)}", file=sys.stderr)
    if not node.complete:
        print(
            "legion record: no graph has told its robot and policy, so no replay of this is possible", file=sys.stderr
        )
    return 0 if node.complete else 1
