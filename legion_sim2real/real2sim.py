"""From what the robot and the cameras measure to the observation that the policy was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legion_core.spaces import Float32, ObservationSpec, TaskState, Vector
from legion_sim2real.calibration import Calibration
from legion_sim2real.kinematics import ArmKinematics


@dataclass(frozen=True, eq=False)
class RobotState:
    """What the robot measures: `stamp_s` (s), `joint_positions` (7,) rad in the order A1..A7 and the `gripper_opening`,
    0 closed to 1 open."""

    stamp_s: float
    joint_positions: Vector
    gripper_opening: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Where the task's things are: world positions (3,) in metres; `object2` is None where the task has one object."""

    object: Vector
    object2: Vector | None
    goal: Vector


class Real2Sim:
    """Packs measurements into the observation `spec` of a policy."""

    def __init__(self, kinematics: ArmKinematics, calibration: Calibration, spec: ObservationSpec) -> None:
        self.kinematics = kinematics
        self.calibration = calibration
        self.spec = spec

    def observe(self, state: RobotState, scene: Scene) -> Float32:
        """The observation, float32 (spec.size,), simulation frame. What is not finite in stays not finite out."""
        second = scene.object if scene.object2 is None else scene.object2
        points = np.stack((self.kinematics.forward(state.joint_positions).position, scene.object, second, scene.goal))
        hand, first, second, goal = self.calibration.to_sim(points)
        if scene.object2 is None:
            second = np.zeros(3)
        return self.spec.pack(TaskState(hand, first, goal, second, state.gripper_opening))
