"""`legion status`: how a running deployment is, part by part, in one screen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from legion_core.errors import DeploymentError
from legion_ros.cli.common import add_network_argument, enter_domain
from legion_ros.findings import ADVICE, GOOD, WRONG, Finding, report

if TYPE_CHECKING:
    from legion_ros.client import NodeStatus

FIGURES = {
    "rate_hz": "{:.0f} Hz",
    "latency_median_ms": "median {:.1f} ms",
    "latency_p99_ms": "p99 {:.1f} ms",
    "log_likelihood": "log-likelihood {:.1f}",
}
"""Values of a part that are shown beside its message."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--namespace", default="", help="ROS namespace of the deployment")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds to wait for a report (5)")
    add_network_argument(parser)


def run(options: argparse.Namespace) -> int:
    """0 when the deployment is healthy, 1 when it is not or none runs; notes are no faults."""
    domain = enter_domain(options)
    from legion_ros.aggregation import TREE
    from legion_ros.client import LegionClient

    with LegionClient(options.namespace) as client:
        tree, root = client.health(options.timeout), f"{client.root}/{TREE}/"
    where = f"domain {domain}, namespace {client.root or '/'}"
    if not tree:
        heard = ", ".join(sorted(client.status))
        raise DeploymentError(
            f"monitor_node says nothing in {where}; of others were heard: {heard}"
            if heard
            else f"no deployment runs in {where}; legion deploy starts one"
        )
    parts = {name.removeprefix(root): status for name, status in tree.items() if name.startswith(root)}
    monitor = parts.get("operator/monitor_node")
    print(f"task: {monitor.values.get('task') if monitor else 'unknown'} ({where})")
    return int(report([_finding(name, status) for name, status in parts.items() if "/" in name]) > 0)


def _finding(name: str, status: NodeStatus) -> Finding:
    from legion_ros.aggregation import OK, WARN

    state = GOOD if status.level == OK else ADVICE if status.level == WARN else WRONG
    figures = [text.format(float(status.values[key])) for key, text in FIGURES.items() if key in status.values]
    if "component" in status.values:
        figures.append(f"component {status.values['component']}")
    return Finding(state, name, ", ".join([status.message, *figures]), status.mends)
