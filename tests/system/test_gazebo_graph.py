"""The graph of robot gazebo against a stand-in that speaks as Gazebo is told to: bridge, controllers, frames, clock.

The physics is MuJoCo's, so this says nothing of Gazebo itself; names, types, frames, units and time are those of the
files that Gazebo is given.
"""

from __future__ import annotations

import importlib
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml
from running import POLICY

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray

from legion_core.bundle import PolicyBundle
from legion_core.config import load_yaml
from legion_core.resources import resource
from legion_core.sim.gazebo import GOAL, OBJECT, SEED
from legion_core.sim.plant import RobotPlant
from legion_ros import topics
from legion_ros.client import LegionClient
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.qos import LATCHED
from legion_ros.stamps import from_seconds
from legion_ros.starter import Starter
from legion_ros.vector_messages import doubles, float32_array, pose_message
from legion_sim2real.robot import load_profile

TASK = "drawer-close"
PROFILE = load_profile("gazebo")
PERIOD_S = 0.01
SPEED = 0.4
"""Simulated seconds a second: Gazebo is not always in time either."""
ERROR = 2


class StandIn:
    """MuJoCo's scene behind the topics of ros_gz_bridge and ros2_control, as config/gazebo/ names them."""

    def __init__(self) -> None:
        self.ends, self.problems = threading.Event(), list[str]()
        self.plant = RobotPlant(TASK, seed=SEED, period_s=PERIOD_S)
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._nodes: list[Any] = []
        bridge = self._node("ros_gz_bridge", "")
        self._bridged = {}
        for entry in yaml.safe_load(resource("config/gazebo/bridge.yaml").read_text(encoding="utf-8")):
            package, _, name = entry["ros_type_name"].split("/")
            kind = getattr(importlib.import_module(f"{package}.msg"), name)
            self._bridged[entry["gz_topic_name"]] = bridge.create_publisher(kind, entry["ros_topic_name"], 10)
        manager = load_yaml(resource("config/gazebo/controllers.yaml"))["/**/controller_manager"]["ros__parameters"]
        broadcaster = self._node("joint_state_broadcaster", "lbr")
        self._states = broadcaster.create_publisher(JointState, "joint_states", 10)
        world = ET.parse(resource(f"config/gazebo/{TASK}.sdf")).getroot().find("world")
        assert world is not None
        self._frame = world.get("name")  # with which Gazebo stamps poses
        state = self.plant.state()
        self.command, self.gripper = state.joint_positions, -1.0
        self.commands = 0
        for name, heard in (
            ("forward_position_controller", self._on_command),
            ("gripper_controller", self._on_gripper),
        ):
            assert manager[name]["type"] == "position_controllers/JointGroupPositionController"
            self._node(name, "lbr").create_subscription(Float64MultiArray, "~/commands", heard, 10)
        self._time_s = 1.0

    def _node(self, name: str, namespace: str) -> Any:
        node = rclpy.create_node(name, context=self._context, namespace=namespace or None)
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def _on_command(self, message: Float64MultiArray) -> None:
        self.command = np.array(message.data)
        self.commands += 1

    def _on_gripper(self, message: Float64MultiArray) -> None:
        fingers = np.array(message.data)
        low, high = np.sort((PROFILE.gripper.open, PROFILE.gripper.closed), axis=0)
        if not ((low - 1e-9 <= fingers) & (fingers <= high + 1e-9)).all():
            self.problems.append(f"fingers beyond the limits of their joints: {fingers}")
        self.gripper = PROFILE.gripper.wanted(fingers)

    def step(self) -> None:
        """One period of physics, and what Gazebo publishes after it."""
        began = time.monotonic()
        state = self.plant.step(self.command, self.gripper)
        self._time_s += PERIOD_S
        stamp = from_seconds(self._time_s)
        self._bridged["/clock"].publish(Clock(clock=stamp))
        for model, position in ((OBJECT, state.object_position), (GOAL, state.goal_position)):
            pose = pose_message(stamp, self._frame, position)
            self._bridged[f"/model/{model}/pose"].publish(pose)
        positions = dict(zip(PROFILE.joint_names, state.joint_positions, strict=True))
        positions |= zip(PROFILE.gripper.joints, PROFILE.gripper.positions(state.gripper_opening), strict=True)
        message = JointState(name=sorted(positions))  # ros2_control keeps no order of its own
        message.header.stamp = stamp
        message.position = doubles(np.array([positions[name] for name in message.name]))
        self._states.publish(message)
        while (left := began + PERIOD_S / SPEED - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def run(self) -> None:
        """Step until somebody sets `ends`."""
        while not self.ends.is_set():
            self.step()

    def close(self) -> None:
        for node in self._nodes:
            node.destroy_node()
        self._executor.shutdown()
        self._context.try_shutdown()


@pytest.fixture
def gazebo() -> Iterator[StandIn]:
    made = StandIn()
    runner = threading.Thread(target=made.run)
    runner.start()
    yield made
    made.ends.set()
    runner.join()
    made.close()


def test_the_graph_does_a_task_through_gazebo_s_interfaces(gazebo: StandIn) -> None:
    """All that moves the arm; the test itself says what language_node would."""
    graph = deployment_graph(DeploymentOptions(robot="gazebo", policy=POLICY, realtime=False))
    moving = [spec for spec in graph if spec.name not in ("language_node", "monitor_node")]
    with Starter(moving) as starter, LegionClient() as client:
        for _ in starter.wait_ready():
            pass
        embedding = client.node.create_publisher(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
        embedding.publish(float32_array(PolicyBundle.load(POLICY or None).embedding(TASK)))
        done = client.wait(lambda: gazebo.plant.success, 120.0)
        assert done, {name: status.message for name, status in client.status.items()}
        assert gazebo.commands > 100
        assert gazebo.problems == []
        client.spin(1.0)
        for name in ("real2sim_node", "policy_node", "sim2real_node", "watchdog_node"):
            assert client.status[name].level < ERROR, client.status[name].message
