"""What Gazebo is told, against the graph that talks to it: Gazebo itself cannot run here."""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import xacro
import yaml

from legion_core.config import load_yaml
from legion_core.resources import resource
from legion_core.sim.gazebo import GOAL, OBJECT, WORLD
from legion_core.tasks import task_names
from legion_ros import topics
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_sim2real.robot import load_profile

CONVERSIONS = {"geometry_msgs/msg/PoseStamped": "gz.msgs.Pose", "rosgraph_msgs/msg/Clock": "gz.msgs.Clock"}
"""Pairs that ros_gz_bridge converts."""
PROFILE = load_profile("gazebo")


@pytest.fixture(scope="module")
def urdf() -> ET.Element:
    mappings = {"robot_name": "lbr", "mode": "gazebo", "controllers_file": "/some/controllers.yaml"}
    return ET.fromstring(xacro.process_file(str(resource("urdf/iiwa7_r800.urdf.xacro")), mappings=mappings).toxml())


def test_the_bridge_carries_the_scene_and_the_clock() -> None:
    bridged = yaml.safe_load(resource("config/gazebo/bridge.yaml").read_text(encoding="utf-8"))
    names = {entry["ros_topic_name"]: entry for entry in bridged}
    assert set(names) == {topics.OBJECT, topics.GOAL, "/clock"}
    assert names[topics.OBJECT]["gz_topic_name"] == f"/model/{OBJECT}/pose"
    assert names[topics.GOAL]["gz_topic_name"] == f"/model/{GOAL}/pose"
    for entry in bridged:
        assert set(entry) == {"ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction"}
        package, _, name = entry["ros_type_name"].split("/")
        assert hasattr(importlib.import_module(f"{package}.msg"), name)
        assert CONVERSIONS[entry["ros_type_name"]] == entry["gz_type_name"]
        assert entry["direction"] == "GZ_TO_ROS"


def test_poses_come_in_the_frame_that_the_graph_takes() -> None:
    assert PROFILE.frames.base == WORLD
    assert all(resource(f"config/gazebo/{task}.sdf").is_file() for task in task_names())


def test_the_controllers_are_those_of_the_profile() -> None:
    sections = load_yaml(resource("config/gazebo/controllers.yaml"))
    managed = sections["/**/controller_manager"]["ros__parameters"]
    for interface, topic in (
        ("forward_position", PROFILE.topics.position_command),
        ("joint_trajectory", PROFILE.topics.trajectory_command),
    ):
        controller = getattr(PROFILE.controllers, interface)
        assert controller in managed
        assert topic.split("/")[1] == controller
        assert sections[f"/**/{controller}"]["ros__parameters"]["joints"] == list(PROFILE.joint_names)
    _, gripper, commands = PROFILE.gripper.command.split("/")
    assert (gripper in managed, commands) == (True, "commands")
    assert sections[f"/**/{gripper}"]["ros__parameters"]["joints"] == list(PROFILE.gripper.joints)
    assert PROFILE.gripper.state == PROFILE.topics.joint_states
    assert managed["update_rate"] >= PROFILE.command_rate_hz


def test_the_description_offers_what_the_controllers_use(urdf: ET.Element) -> None:
    control = urdf.find("ros2_control")
    assert control is not None
    assert control.findtext("hardware/plugin") == "gz_ros2_control/GazeboSimSystem"
    joints = {joint.get("name"): joint for joint in control.findall("joint")}
    assert set(joints) == {*PROFILE.joint_names, *PROFILE.gripper.joints}
    for joint in joints.values():
        assert [interface.get("name") for interface in joint.findall("command_interface")] == ["position"]
        assert {interface.get("name") for interface in joint.findall("state_interface")} >= {"position", "velocity"}
    plugin = urdf.find("gazebo/plugin")
    assert plugin is not None
    assert plugin.findtext("parameters") == "/some/controllers.yaml"
    assert plugin.findtext("ros/namespace") == "/lbr"


def test_the_gripper_stays_within_its_joints(urdf: ET.Element) -> None:
    gripper = PROFILE.gripper
    assert gripper.command_open == gripper.open
    assert gripper.command_closed == gripper.closed
    for name, opened, closed in zip(gripper.joints, gripper.open, gripper.closed, strict=True):
        limit = urdf.find(f"joint[@name='{name}']/limit")
        assert limit is not None
        assert {opened, closed} == {float(limit.get("lower", "nan")), float(limit.get("upper", "nan"))}


def test_the_arm_starts_where_the_guard_lets_it_move(urdf: ET.Element) -> None:
    starts = [
        float(urdf.findtext(f"ros2_control/joint[@name='{name}']/state_interface[@name='position']/param", "nan"))
        for name in PROFILE.joint_names
    ]
    hand = PROFILE.kinematics().forward(np.array(starts)).position
    limits = PROFILE.load_safety()
    assert (np.array(limits.workspace_low_m) < hand).all()
    assert (hand < np.array(limits.workspace_high_m)).all()


def test_everybody_lives_by_gazebo_s_clock() -> None:
    graph = deployment_graph(DeploymentOptions(robot="gazebo", bringup="gazebo", task="door-open"))
    own = [spec for spec in graph if spec.package == "legion_ros"]
    assert own
    assert all(spec.parameters["use_sim_time"] and not spec.remappings for spec in own)
