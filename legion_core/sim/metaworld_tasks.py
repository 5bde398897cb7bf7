"""Meta-World's fifty task classes with the arm of choice: unmodified tasks behind two small mixins."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import mujoco
import numpy as np
from gymnasium.spaces import Box
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from legion_core.embodiment import Embodiment
from legion_core.errors import SimulationError
from legion_core.sim.arm import ARM_JOINTS, TOOL_DOWN, arm_addresses, home_posture
from legion_core.sim.fast_rewards import reward_methods
from legion_core.sim.fast_task import FastTask, MatrixOrientation, StickOrientation
from legion_core.sim.placement import iiwa7
from legion_core.sim.scene import build_model, check_choice
from legion_core.spaces import Vector
from legion_core.tasks import Task, get_task

MOCAP_FRAME_SKIP = 5
DRAWS = 1000
"""So many layouts of a composite scene are drawn before it is given up."""
SETTLE_TICKS = 20
OPEN = (-1.0, 1.0)
"""Finger commands (right, left) of an open gripper."""


class IiwaTask(FastTask):
    """Starts from a posture found by inverse kinematics: all joints at zero would be a singularity.

    Contact forces are computed for the tasks that ask for them, in place of every task at every step.
    """

    _forces_known = False

    start_from: tuple[float, float, float] | None = None
    """Where the hand begins if not where Meta-World says."""

    def __init__(self, model: mujoco.MjModel, frame_skip: int) -> None:
        super().__init__(model, frame_skip)
        if self.start_from is not None:
            self.hand_init_pos = np.array(self.start_from)

    def _reset_hand(self, steps: int = SETTLE_TICKS) -> None:
        """Meta-World's contract: the open hand at rest at `hand_init_pos`, and `init_tcp` where it is then."""
        hand = np.clip(np.asarray(self.hand_init_pos, float), self.mocap_low, self.mocap_high)
        joints, rates = arm_addresses(self.model)
        self.data.qpos[joints], self.data.qvel[rates] = self.home(hand), 0.0
        mujoco.mj_forward(self.model, self.data)
        self._hold(hand)
        for _ in range(min(steps, SETTLE_TICKS)):
            self.do_simulation(OPEN, self.frame_skip)
        self.init_tcp = self.tcp_center

    def _look(self) -> None:
        mujoco.mj_kinematics(self.model, self.data)
        self._forces_known = False

    def touching_object(self, object_geom_id: int) -> bool:
        if not self._forces_known:
            mujoco.mj_forward(self.model, self.data)
            self._forces_known = True
        return super().touching_object(object_geom_id)

    def home(self, hand: Vector) -> Vector:
        """Joint positions (7,) with the hand at that point of the sim frame."""
        try:
            return home_posture(self.model, hand)
        except SimulationError:
            # such as the start of door-close
            return home_posture(self.model, hand, tilted=True)

    def _hold(self, hand: Vector) -> None:
        """Make the actuation keep the hand where it is."""
        self.data.mocap_pos[0], self.data.mocap_quat[0] = hand, TOOL_DOWN


class ServoTask(IiwaTask):
    """Seven joint servos instead of the mocap weld; the joint command is set from outside."""

    def __init__(self, model: mujoco.MjModel, frame_skip: int) -> None:
        self.joint_command = np.zeros(ARM_JOINTS)
        super().__init__(model, frame_skip)

    def _hold(self, hand: Vector) -> None:
        self.joint_command = self.data.qpos[:ARM_JOINTS].copy()
        self.data.act[:] = self.joint_command

    def set_xyz_action(self, action: Vector) -> None:
        """The hand goes where the joints take it."""

    def do_simulation(self, ctrl: Any, n_frames: int) -> None:
        self._step_mujoco_simulation(np.concatenate((ctrl, self.joint_command)), n_frames)

    def set_state(self, qpos: Vector, qvel: Vector) -> None:
        self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self.model, self.data)


class SharedTask(ServoTask):
    """A task whose object stands in a scene with others: it places that alone, and moves the hand no more than they."""

    joint = ""
    """The joint that says how the object stands."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, frame_skip: int) -> None:
        self._shared = data
        super().__init__(model, frame_skip)

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        return self._compiled, self._shared

    def place(self, low: Vector, high: Vector, layouts: np.random.Generator) -> None:
        """Meta-World's own `reset_model`, in a layout between two corners.

        Raises:
            SimulationError: it likes none of them.
        """
        self._random_reset_space = Box(low, high, dtype=np.float64)
        self._layouts, self._settled, self._draws = layouts, False, 0
        self.reset_model()

    def _get_state_rand_vec(self) -> Vector:
        self._draws += 1
        if self._draws > DRAWS:
            raise SimulationError(f"{self.task_name}: no layout in {DRAWS} draws; its start and goal are too near")
        return super()._get_state_rand_vec()

    def settle_hand(self, hand: Vector) -> None:
        """Bring the open hand to rest at that point (3,) of the sim frame."""
        self.hand_init_pos = hand
        super()._reset_hand()

    def goal_at(self, point: Vector) -> None:
        """Move the goal to that point (3,) of the sim frame."""
        self._target_pos = point.copy()

    def _reset_hand(self, steps: int = SETTLE_TICKS) -> None:
        self.init_tcp = self.tcp_center

    def _set_obj_xyz(self, pos: Vector) -> None:
        joint = self.model.joint(self.joint)
        position, rate = joint.qposadr.item(), joint.dofadr.item()
        self.data.qpos[position : position + np.size(pos)] = pos
        self.data.qvel[rate : rate + (6 if np.size(pos) > 1 else 1)] = 0.0
        mujoco.mj_forward(self.model, self.data)


OBJECT_BODIES = {
    "reach": "obj",
    "push": "obj",
    "pick-place": "obj",
    "door-open": "door_link",
    "faucet-open": "faucetBase",
    "drawer-close": "drawer_link",
    "button-press-topdown": "button",
    "peg-unplug-side": "plug1",
    "window-open": "window",
    "window-close": "window",
}
"""The body whose orientation is the object's, in the tasks that the servo plant has."""

_ORIENTED = {
    **dict.fromkeys(("door-open", "door-close"), ("geom", "handle")),
    **dict.fromkeys(("coffee-pull", "coffee-push"), ("geom", "mug")),
    **dict.fromkeys(("plate-slide", "plate-slide-side", "plate-slide-back", "plate-slide-back-side"), ("geom", "puck")),
    **dict.fromkeys(("reach", "push", "pick-place"), ("geom", "objGeom")),
    **dict.fromkeys(("reach-wall", "push-wall", "pick-place-wall"), ("geom", "objGeom")),
    **dict.fromkeys(("push-back", "shelf-place", "sweep-into", "lever-pull"), ("geom", "objGeom")),
    "peg-insert-side": ("site", "pegGrasp"),
    "soccer": ("body", "soccer_ball"),
}
"""What the tasks with a MatrixOrientation take it from."""

_STARTS = {"door-close": (-0.3, 0.6, 0.2)}
"""Where the iiwa begins instead of at Meta-World's place, which is out of its reach: on the same side of the door."""

_ACTUATIONS: dict[tuple[str, str], type[FastTask]] = {
    ("sawyer", "mocap"): FastTask,
    ("iiwa7", "mocap"): IiwaTask,
    ("iiwa7", "servo"): ServoTask,
    ("iiwa7", "shared"): SharedTask,
}


def stock_class(task: Task) -> type:
    """Meta-World's own class of that task."""
    return cast(type, ALL_V3_ENVIRONMENTS[task.metaworld])


def scene_file(task: Task) -> str:
    """Meta-World's XML of that task's scene."""
    return cast(str, stock_class(task).model_name.fget(None))  # type: ignore[attr-defined]


@cache
def _task_class(task: Task, arm: str, actuation: str) -> type[FastTask]:
    stock = stock_class(task)
    bases, extra = [_ACTUATIONS[arm, actuation]], dict[str, Any](reward_methods(stock))
    if task.name in _ORIENTED:
        bases, extra["_oriented"] = [*bases, MatrixOrientation], _ORIENTED[task.name]
    elif task.name in ("stick-push", "stick-pull"):
        bases.append(StickOrientation)
    unique = [base for base in bases if base is not FastTask] or [FastTask]
    if arm == "iiwa7" and task.name in _STARTS:
        extra["start_from"] = _STARTS[task.name]
    return cast(type[FastTask], type(f"{arm.title()}{stock.__name__}", (*unique, stock), extra))


def make_stock_task(name: str, layout: Vector) -> SawyerXYZEnv:
    """Meta-World's unmodified Sawyer environment with the goal shown, for comparison; `reset()` uses that layout."""
    env: SawyerXYZEnv = stock_class(get_task(name))()
    env._partially_observable = False
    env._freeze_rand_vec = env._set_task_called = True
    env.__dict__.pop("sawyer_observation_space", None)
    env._last_rand_vec = layout
    return env


def make_task(
    name: str, arm: str, actuation: str, frame_skip: int = MOCAP_FRAME_SKIP, robot: Embodiment | None = None
) -> FastTask:
    """The Meta-World environment of a task on that arm; a step is `frame_skip` times 2.5 ms.

    `robot` stands in for the iiwa 7 of arm iiwa7.

    Raises:
        TaskError: an unknown task.
        SimulationError: an unknown arm or actuation, or a pair that does not exist.
    """
    task = get_task(name)
    check_choice(arm, actuation)
    model = build_model(scene_file(task), arm, actuation, robot or iiwa7())
    return _task_class(task, arm, actuation)(model, frame_skip)


def make_shared_task(name: str, model: mujoco.MjModel, data: mujoco.MjData, frame_skip: int, joint: str) -> SharedTask:
    """The environment of a task in a model with the objects of several, where its object stands as `joint` says."""
    kind = cast(type[SharedTask], _task_class(get_task(name, "ten"), "iiwa7", "shared"))
    task = kind(model, data, frame_skip)
    task.joint = joint
    return task
