"""The running graph stays in a random domain on this machine, and its logs in the test's folders."""

from __future__ import annotations

import os
import random

import pytest

from legion_ros.domain import keep_local


@pytest.fixture(scope="session", autouse=True)
def domain(tmp_path_factory: pytest.TempPathFactory) -> int:
    number = random.randint(1, 100)
    os.environ["ROS_DOMAIN_ID"] = str(number)
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_logs"))
    keep_local()
    return number
