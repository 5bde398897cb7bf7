"""Exit code 0 when the nodes that move the arm report on /diagnostics that they can do their work."""

from __future__ import annotations

import os
import sys

from legion_core.errors import LegionError
from legion_ros.client import LegionClient

NODES = ("language_node", "real2sim_node", "policy_node", "sim2real_node", "watchdog_node")
WAIT_S = 8.0
ERROR = 2
"""Level of a problem that keeps a node from its work; a warning is none."""


def main() -> int:
    """0 healthy, 1 not; what is wrong goes to the container's health log."""
    try:
        with LegionClient(os.environ.get("LEGION_NAMESPACE", ""), name="healthcheck") as client:
            client.wait(lambda: all(node in client.status for node in NODES), WAIT_S)
            problems = [f"{node} is silent" for node in NODES if node not in client.status]
            problems += [f"{node}: {status.message}" for node, status in client.status.items() if status.level >= ERROR]
    except LegionError as error:
        problems = [str(error)]
    print("; ".join(problems) or "healthy")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
