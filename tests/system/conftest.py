"""The running graph stays in a random domain on this machine, and its logs in the test's folders."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from legion_ros.domain import own_domain


@pytest.fixture(scope="session", autouse=True)
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_logs"))
    with own_domain() as number:
        yield number
