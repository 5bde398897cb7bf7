"""Another robot is another YAML and URDF: the shipped policy does its task on each, as an operator runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import POLICY

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

from legion_core.description import load_description
from legion_core.resources import resource

STRANGER: dict[str, Any] = {
    "model": "stranger.urdf",
    "robot_name": "left",
    "joint_names": [f"joint_{letter}" for letter in "abcdefg"],
    "command_interface": "joint_trajectory",
    "frames": {"base": "left_link_0", "hand": "left_hand", "tool": "left_tcp", "camera": None},
    "topics": {
        "joint_states": "left/joint_states",
        "position_command": "left/positions",
        "trajectory_command": "left/trajectory",
        "hand_pose": "left/hand",
        "pose_command": "left/target",
    },
    "gripper": {
        "command": "left/gripper/command",
        "state": "left/gripper/joint_states",
        "joints": ["thumb", "finger"],
        "open": [0.04, -0.04],
        "closed": [0.0, 0.0],
        "command_open": [85.0, 20.0],
        "command_closed": [0.0, 20.0],
    },
}
"""An arm of other names, with a gripper of other units, in a plain URDF beside its profile."""

ROBOTS: dict[str, dict[str, Any]] = {
    "iiwa_14": {"model": "iiwa14_r820"},
    "hand_in_hand_out": {"input": "cartesian", "command_interface": "cartesian"},
    "joints_in_hand_out": {"command_interface": "cartesian"},
    "stranger": STRANGER,
}


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_shipped_policy_does_its_task(tmp_path: Path, robot: str) -> None:
    profile = yaml.safe_load(resource("config/robots/mujoco.yaml").read_text(encoding="utf-8"))
    (tmp_path / f"{robot}.yaml").write_text(yaml.safe_dump({**profile, **ROBOTS[robot]}), encoding="utf-8")
    urdf = load_description(robot_name="left").urdf
    for old, new in zip(load_description(robot_name="left").arm_joints, STRANGER["joint_names"], strict=True):
        urdf = urdf.replace(f'"{old}"', f'"{new}"')
    (tmp_path / "stranger.urdf").write_text(urdf, encoding="utf-8")
    command = [sys.executable, "-m", "legion_ros.cli.main", "deploy", "--policy", POLICY, "--lockstep", "--once"]
    command += ["--robot", str(tmp_path / f"{robot}.yaml"), "--instruction", "close the drawer"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "success" in result.stdout and "drawer-close" in result.stdout
