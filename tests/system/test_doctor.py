"""`legion doctor --robot` on a running graph: what it sees is what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")

from cells import Cell
from echo_driver import EchoDriver
from running import deployment
from sensor_msgs.msg import JointState

from legion_ros.findings import ADVICE, GOOD, WRONG


def doctor(robot: str, *arguments: str) -> dict[str, str]:
    """What it says of each thing. A process of its own: it takes real-time priority, with its limit on spinning."""
    command = [sys.executable, "-m", "legion_ros.cli.main", "doctor", "--robot", robot, *arguments]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False).stdout
    lines = (re.split(r"\s{2,}", line) for line in said.splitlines())
    return {words[1]: words[0] for words in lines if words[0] in (GOOD, ADVICE, WRONG)}


def test_a_rehearsal_in_simulation() -> None:
    with deployment() as (_, client):
        said = doctor("mujoco", "--yes")
        seen = ("joint states", "joint states: source", "arm", "commands", "controller", "gripper", "object", "goal")
        assert [said[what] for what in ("profile", *seen)] == [GOOD] * 9, said
        for node in ("real2sim_node", "policy_node", "sim2real_node", "watchdog_node"):
            assert said[node] == GOOD, said
        assert said["emergency stop"] == GOOD
        assert client.wait(lambda: client.status_value("sim2real_node", "e_stop") == "False", 10.0)

        intruder = client.node.create_publisher(JointState, "lbr/joint_states", 1)
        said = doctor("mujoco", "--stage", "slow")
        client.node.destroy_publisher(intruder)
        assert said["joint states: source"] == WRONG
        assert said["max_speed_m_s"] == WRONG
        assert said["emergency stop"] == WRONG, "nobody has agreed to the test"


def test_an_arm_behind_its_driver_from_the_doctor_to_the_first_motion(tmp_path: Path) -> None:
    robot = Cell(tmp_path).for_stage("air").write()
    with EchoDriver() as driver, deployment(robot=robot) as (_, client):
        said = doctor(robot, "--stage", "air", "--yes")
        files = ("cell", "latch", "height", "calibration", "speed_scale", "max_speed_m_s", "joint_velocity_scale")
        seen = ("joint states", "joint states: source", "arm", "commands", "controller", "gripper", "object", "goal")
        assert [said[what] for what in (*files, *seen, "emergency stop")] == [GOOD] * 16, said
        before = driver.positions
        client.say("reach the point")
        assert client.wait(lambda: driver.positions != before, 20.0)
