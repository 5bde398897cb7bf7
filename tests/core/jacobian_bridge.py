"""A small ArmBridge for testing the simulation alone: MuJoCo's Jacobian, damped least squares, velocity limits."""

from __future__ import annotations

import mujoco
import numpy as np

from legion_core.description import load_description
from legion_core.sim.arm import ARM_JOINTS, NOMINAL, TOOL_DOWN
from legion_core.sim.metaworld_tasks import make_task
from legion_core.sim.placement import iiwa7
from legion_core.sim.plant import PERIOD_S, PlantState
from legion_core.spaces import ACTION_SCALE_M, Float32, ObservationSpec, TaskState, Vector

LEASH_M = 0.06
LOW = np.array((-0.5, 0.40, 0.05))
HIGH = np.array((0.5, 1.0, 0.5))


class JacobianBridge:
    """Follows a hand target that stays on a leash of the measured hand."""

    def __init__(self, spec: ObservationSpec | None = None) -> None:
        self.spec, self.robot = spec or ObservationSpec(), iiwa7()
        self.model = make_task("reach", "iiwa7", "servo").model
        self.data = mujoco.MjData(self.model)
        self.hand = self.model.body("hand").id
        description = load_description()
        joints = [description.joint(name) for name in description.arm_joints]
        self.low, self.high = np.array([j.lower for j in joints]), np.array([j.upper for j in joints])
        self.velocity = np.array([j.velocity for j in joints])
        self.command = self.target = np.zeros(0)

    def reset(self, state: PlantState) -> None:
        self.command = state.joint_positions.copy()
        self.target = self._hand(state.joint_positions)

    def observe(self, state: PlantState) -> Float32:
        return self.spec.pack(
            TaskState(
                hand=self._hand(state.joint_positions),
                object=self.robot.to_sim(state.object_position),
                goal=self.robot.to_sim(state.goal_position),
                gripper_opening=state.gripper_opening,
            )
        )

    def act(self, action: Vector, state: PlantState) -> tuple[Vector, float]:
        hand = self._hand(state.joint_positions)
        target = np.clip(self.target + ACTION_SCALE_M * action[:3], LOW, HIGH)
        lead = target - hand
        self.target = hand + lead * min(1.0, LEASH_M / max(float(np.linalg.norm(lead)), 1e-9))
        self.command = self._follow(self.command)
        return self.command, float(action[3])

    def _hand(self, joints: Vector) -> Vector:
        self.data.qpos[:ARM_JOINTS] = joints
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        return self.data.xpos[self.hand].copy()

    def _follow(self, q: Vector) -> Vector:
        """One damped step of the joint command towards the target, within the velocity limits."""
        jacobian, error = np.zeros((6, self.model.nv)), np.zeros(6)
        error[:3] = self.target - self._hand(q)
        mujoco.mju_subQuat(error[3:], np.array(TOOL_DOWN), self.data.xquat[self.hand])
        error[3:] = self.data.xmat[self.hand].reshape(3, 3) @ error[3:]
        mujoco.mj_jacBody(self.model, self.data, jacobian[:3], jacobian[3:], self.hand)
        j = jacobian[:, :ARM_JOINTS]
        inverse = j.T @ np.linalg.inv(j @ j.T + 1e-3 * np.eye(6))
        step = inverse @ error + (np.eye(ARM_JOINTS) - inverse @ j) @ (0.05 * (NOMINAL - q))
        most = self.velocity * PERIOD_S
        return np.clip(q + step * min(1.0, float((most / np.maximum(np.abs(step), 1e-9)).min())), self.low, self.high)
