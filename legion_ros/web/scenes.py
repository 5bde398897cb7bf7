"""Where the bodies of the scene are: all of the simulator's, or the links of a robot that says how its joints stand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState

from legion_core.embodiment import Embodiment
from legion_core.errors import LegionError, SpaceError
from legion_core.spaces import Vector
from legion_core.tasks import task_names
from legion_ros import topics
from legion_ros.qos import Inbox
from legion_ros.reading import RobotReader
from legion_ros.web.bodies import Body, MujocoBodies, RobotBodies
from legion_sim2real.robot import RobotProfile

ROBOT = "robot"
"""Name of the scene that is the robot alone."""


@dataclass(frozen=True, eq=False)
class Picture:
    """The scene of that `key` now: `poses` are rows x, y, z, qw, qx, qy, qz (B, 7) of its `bodies`, in the robot's base
    frame, or in the frame in which `base` stands."""

    key: str
    bodies: Sequence[Body]
    base: Embodiment | None
    poses: Vector


class SimulatedScene:
    """What mujoco_node publishes while somebody listens, drawn by a model that is built here as it is there."""

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        self._robot = profile.embodiment()
        self._inbox = Inbox(node, JointState, topics.SIM_STATE, depth=1)

    def look(self) -> Picture | None:
        """The scene now; None if nothing new came."""
        for message in self._inbox.take():
            with suppress(LegionError, ValueError):  # another simulator's, or none at all
                (key,) = message.name
                poses, bodies = np.array(message.position).reshape(-1, 7), _simulated_bodies(key, self._robot)
                if len(poses) == len(bodies):
                    return Picture(key, bodies, self._robot, poses)
        return None

    def close(self) -> None:
        """Listen no longer."""
        self._inbox.destroy()


class RobotScene:
    """The robot of a description."""

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        description = profile.description()
        self._robot, self._reader = RobotBodies(description), RobotReader(profile)
        self._joint_names = profile.joint_names
        kind: Any = JointState if profile.input == "joint" else PoseStamped
        self._inbox = Inbox(node, kind, profile.state_topic, depth=1)
        self._fingers = Inbox(node, JointState, profile.gripper.state, depth=1)

    def look(self) -> Picture | None:
        """The robot now; None if nothing new came."""
        poses = None
        for message in self._fingers.take():  # those that the description has
            self._robot.poses(message.name, message.position)
        for message in self._inbox.take():
            with suppress(SpaceError):  # who needs the joints says what is wrong with them
                poses = self._robot.poses(self._joint_names, self._reader.joints(message))
        return None if poses is None else Picture(ROBOT, self._robot.bodies, None, poses)

    def close(self) -> None:
        """Listen no longer."""
        self._inbox.destroy()
        self._fingers.destroy()


Scene = SimulatedScene | RobotScene


def open_scene(node: Node, profile: RobotProfile) -> Scene:
    """What there is to see of that robot."""
    return SimulatedScene(node, profile) if profile.driver == "mujoco" else RobotScene(node, profile)


@cache
def _simulated_bodies(key: str, robot: Embodiment) -> tuple[Body, ...]:
    from legion_core.sim.composite import load_scene  # MuJoCo and Meta-World, which a robot's computer may lack
    from legion_core.sim.plant import RobotPlant

    plant = RobotPlant(key, robot=robot) if key in task_names() else RobotPlant(robot=robot, composite=load_scene(key))
    return MujocoBodies(plant.model).bodies
