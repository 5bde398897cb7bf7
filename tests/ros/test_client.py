"""The operator's client, where not everybody is there who should be."""

from __future__ import annotations

import pytest
from conftest import Bench
from rclpy.node import Node
from std_msgs.msg import String

from legion_core.errors import DeploymentError
from legion_ros import topics
from legion_ros.client import LegionClient


def test_nothing_is_said_while_a_recorder_alone_listens(bench: Bench) -> None:
    bench.start(lambda: Node("record_node"))
    heard = bench.listen(String, topics.INSTRUCTION)
    with LegionClient() as client:
        with pytest.raises(DeploymentError, match="nobody listens on /legion/instruction"):
            client.say("open the window", timeout_s=2.0)
        bench.settle()
    assert heard == []
