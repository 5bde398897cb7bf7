"""The simulated robot with its joint servos in a task's scene: what stands in for the real arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from legion_core.embodiment import Embodiment
from legion_core.errors import SimulationError, SpaceError, TaskError, unknown
from legion_core.sim.arm import ARM_JOINTS
from legion_core.sim.composite import CompositeScene, SharedScene
from legion_core.sim.metaworld_tasks import OBJECT_BODIES, ServoTask, make_task
from legion_core.sim.placement import iiwa7
from legion_core.sim.rendering import Image, OffscreenRenderer
from legion_core.spaces import Vector
from legion_core.tasks import get_task

RESET_GAP_S = 1.0
"""A reset moves the clock on by this much, so that everything downstream sees a gap in the stamps."""

PERIOD_S, ROBOT_LAG_S = 0.02, 0.02
_TIMESTEP_S = 0.0025
_SERVOS = slice(2, 2 + ARM_JOINTS)


@dataclass(frozen=True)
class PlantState:
    """One sample of robot and scene; positions in the world frame (the robot's base), SI units.

    `object_quaternion` is (x, y, z, w); `object2_position` is None where the task has one object;
    `time_s` never runs backwards, not even over resets; `object_stamp_s` is when the objects were seen.
    """

    time_s: float
    joint_positions: Vector
    joint_velocities: Vector
    joint_efforts: Vector
    gripper_opening: float
    object_position: Vector
    object_quaternion: Vector
    object2_position: Vector | None
    goal_position: Vector
    object_stamp_s: float


class RobotPlant:
    """An arm with position servos behind a first-order lag, in the scene of one of the ten tasks.

    `period_s` is one control period, a multiple of 2.5 ms; `robot_lag_s` the time constant of the lag on the
    joint command; `robot` the arm, by default the iiwa 7. `distance_left` (m) is what the task's success rule measures,
    NaN before the first step. Scenes are built when first asked for and kept, so changing the task back and forth is
    cheap. With a `composite` scene there is that one alone: a reset puts all its objects to their places, and `switch`
    changes what is observed and leaves everything where it is; `shared` is that scene, None without one.

    Raises:
        TaskError: an unknown task, or one that the composite scene has not.
        SimulationError: a period or lag that does not fit.
    """

    def __init__(
        self,
        task: str = "reach",
        *,
        seed: int | None = None,
        period_s: float = PERIOD_S,
        robot_lag_s: float = ROBOT_LAG_S,
        robot: Embodiment | None = None,
        composite: CompositeScene | None = None,
    ) -> None:
        self._frame_skip = round(period_s / _TIMESTEP_S)
        if self._frame_skip < 1 or not np.isclose(self._frame_skip * _TIMESTEP_S, period_s):
            raise SimulationError(f"period_s = {period_s}; allowed: a positive multiple of {_TIMESTEP_S}")
        self.robot = robot or iiwa7()
        self.shared = SharedScene(composite, self.robot, self._frame_skip) if composite else None
        self._scenes: dict[str, ServoTask] = dict(self.shared.tasks) if self.shared else {}
        self._renderers: dict[str, OffscreenRenderer] = {}
        self._clock_s = -RESET_GAP_S
        self.robot_lag_s = robot_lag_s
        self.task = task
        self.reset(task, seed)

    def reset(self, task: str | None = None, seed: int | None = None) -> PlantState:
        """Start an episode: of `task` (the present one by default), in the layout of `seed` (the next one)."""
        task = task or self.task
        scene = self._scene(task)
        (self.shared or scene).start(seed)
        self._clock_s += RESET_GAP_S
        return self._begin(task)

    def switch(self, task: str) -> PlantState:
        """Go on with another task of the composite scene, or with the same one again.

        Raises:
            TaskError: the scene has it not.
        """
        self.check(task)
        return self._begin(task)

    def check(self, task: str) -> None:
        """Whether it can be asked for that task.

        Raises:
            TaskError: an unknown task, or one that the composite scene has not.
        """
        if self.shared and task not in self._scenes:
            raise TaskError(f"scene {self.shared.scene.name}: {unknown('task', task, self._scenes)}")
        get_task(task, "ten")

    def _begin(self, task: str) -> PlantState:
        self.task = task
        self.steps, self.reward, self.success, self.distance_left = 0, 0.0, False, math.nan
        return self.state()

    def step(self, joint_positions: Vector, gripper: float) -> PlantState:
        """Advance one period towards a joint command (7,) in rad and a gripper command, -1 open to +1 closed.

        Raises:
            SpaceError: a command of another length, or one that is not finite.
            SimulationError: the physics has diverged.
        """
        command = np.asarray(joint_positions, float)
        if command.shape != (ARM_JOINTS,) or not np.isfinite(command).all() or not np.isfinite(gripper):
            raise SpaceError(f"command {command.tolist()}, {gripper}; expected {ARM_JOINTS} finite numbers and one")
        self.scene.joint_command = command
        self.reward, self.success = self.scene.advance(np.array((0.0, 0.0, 0.0, np.clip(gripper, -1.0, 1.0))))
        self.distance_left = self.scene.distance_left
        self.steps += 1
        self._clock_s += self._frame_skip * _TIMESTEP_S
        return self.state()

    def state(self) -> PlantState:
        """Robot and scene now."""
        data, seen = self.data, self.scene.task_state()
        return PlantState(
            time_s=self._clock_s,
            joint_positions=data.qpos[:ARM_JOINTS].copy(),
            joint_velocities=data.qvel[:ARM_JOINTS].copy(),
            joint_efforts=data.actuator_force[_SERVOS].copy(),
            gripper_opening=seen.gripper_opening,
            object_position=self.robot.to_world(seen.object),
            object_quaternion=self._object_quaternion(),
            object2_position=None,
            goal_position=self.robot.to_world(seen.goal),
            object_stamp_s=self._clock_s,
        )

    @property
    def tasks(self) -> Mapping[str, ServoTask]:
        """The scenes that are built; of a composite scene all its tasks."""
        return self._scenes

    @property
    def time_s(self) -> float:
        """The clock of `PlantState`."""
        return self._clock_s

    @property
    def robot_lag_s(self) -> float:
        """Time constant of the lag on the joint command; setting it holds from now on, for every task."""
        return self._lag_s

    @robot_lag_s.setter
    def robot_lag_s(self, lag_s: float) -> None:
        if not (np.isfinite(lag_s) and lag_s >= 0):
            raise SimulationError(f"robot_lag_s = {lag_s}; allowed: zero or more")
        self._lag_s = lag_s
        for scene in self._scenes.values():
            scene.model.actuator_dynprm[_SERVOS, 0] = lag_s

    @property
    def scene(self) -> ServoTask:
        """The Meta-World environment below."""
        return self._scene(self.task)

    @property
    def model(self) -> mujoco.MjModel:
        """The MuJoCo model of the present task."""
        return self.scene.model

    @property
    def data(self) -> mujoco.MjData:
        """The MuJoCo state of the present task."""
        return self.scene.data

    def render(self, width: int = 640, height: int = 480) -> Image:
        """A picture (height, width, 3) of the arm at work.

        Raises:
            SimulationError: no offscreen OpenGL on this machine.
        """
        renderer = self._renderers.setdefault(self.task, OffscreenRenderer(self.model))
        return renderer.render(self.data, width, height)

    def close(self) -> None:
        """Give the rendering contexts back."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _scene(self, task: str) -> ServoTask:
        if task not in self._scenes:
            self.check(task)
            scene = make_task(task, "iiwa7", "servo", self._frame_skip, self.robot)
            assert isinstance(scene, ServoTask)
            scene.model.actuator_dynprm[_SERVOS, 0] = self._lag_s
            self._scenes[task] = scene
        return self._scenes[task]

    def _object_quaternion(self) -> Vector:
        relative, inverse = np.zeros(4), np.zeros(4)
        mujoco.mju_negQuat(inverse, np.array(self.robot.base_quaternion))
        mujoco.mju_mulQuat(relative, inverse, self.data.body(OBJECT_BODIES[self.task]).xquat)
        return relative[[1, 2, 3, 0]]
