"""What the tests of the running graph share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

POLICY = os.environ.get("LEGION_TEST_POLICY", "")
"""Folder of the bundle under test; empty: the one that comes with the package."""


@contextmanager
def deployment(**options: Any) -> Iterator[tuple[Any, Any]]:
    """A running graph, all nodes ready, and an operator."""
    from legion_ros.client import LegionClient
    from legion_ros.deployment import DeploymentOptions, deployment_graph
    from legion_ros.starter import Starter

    chosen = DeploymentOptions(**{"policy": POLICY, **options})
    with Starter(deployment_graph(chosen)) as starter, LegionClient(chosen.root) as client:
        for _ in starter.wait_ready():
            pass
        yield starter, client
