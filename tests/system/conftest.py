"""The real graph as processes, in a random domain that stays on this machine.

LEGION_TEST_POLICY names the bundle under test; by default it is the one that comes with the package.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from legion_ros.domain import keep_local

POLICY = os.environ.get("LEGION_TEST_POLICY", "")


@pytest.fixture(scope="session", autouse=True)
def domain(tmp_path_factory: pytest.TempPathFactory) -> int:
    number = random.randint(1, 100)
    os.environ["ROS_DOMAIN_ID"] = str(number)
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_logs"))
    keep_local()
    return number


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


@pytest.fixture(scope="session")
def deploy() -> Callable[..., Any]:
    """`with deploy(lockstep=True, ...) as (starter, client):`"""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    pytest.importorskip("metaworld", reason="the simulator is not installed")
    pytest.importorskip("sentence_transformers", reason="the language model is not installed")
    return deployment


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
