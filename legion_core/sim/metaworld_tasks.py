"""The ten Meta-World task classes with the arm of choice: unmodified tasks behind two small mixins."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from legion_core.sim.arm import ARM_JOINTS, TOOL_DOWN, home_posture
from legion_core.sim.fast_task import FastTask, GeomOrientation, HandleOrientation
from legion_core.sim.scene import build_model, check_choice
from legion_core.spaces import Vector
from legion_core.tasks import Task, get_task

MOCAP_FRAME_SKIP = 5
SETTLE_TICKS = 20
OPEN = (-1.0, 1.0)
"""Finger commands (right, left) of an open gripper."""


class IiwaTask(FastTask):
    """Starts from a posture found by inverse kinematics: all joints at zero would be a singularity."""

    def _reset_hand(self, steps: int = SETTLE_TICKS) -> None:
        """Meta-World's contract: the open hand at rest at `hand_init_pos`, and `init_tcp` where it is then."""
        hand = np.clip(np.asarray(self.hand_init_pos, float), self.mocap_low, self.mocap_high)
        self.data.qpos[:ARM_JOINTS] = self.home(hand)
        self.data.qvel[:ARM_JOINTS] = 0.0
        mujoco.mj_forward(self.model, self.data)
        self._hold(hand)
        for _ in range(min(steps, SETTLE_TICKS)):
            self.do_simulation(OPEN, self.frame_skip)
        self.init_tcp = self.tcp_center

    def home(self, hand: Vector) -> Vector:
        """Joint positions (7,) with the hand at that point of the sim frame."""
        return home_posture(self.model, hand)

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
"""The body whose orientation is the object's."""

_ORIENTATIONS: dict[str, type[FastTask]] = {
    "reach": GeomOrientation,
    "push": GeomOrientation,
    "pick-place": GeomOrientation,
    "door-open": HandleOrientation,
}
_ACTUATIONS: dict[tuple[str, str], type[FastTask]] = {
    ("sawyer", "mocap"): FastTask,
    ("iiwa7", "mocap"): IiwaTask,
    ("iiwa7", "servo"): ServoTask,
}


def stock_class(task: Task) -> type:
    """Meta-World's own class of that task."""
    return cast(type, ALL_V3_ENVIRONMENTS[task.metaworld])


@cache
def _task_class(task: Task, arm: str, actuation: str) -> type[FastTask]:
    bases = (_ACTUATIONS[arm, actuation], _ORIENTATIONS.get(task.name, FastTask))
    stock = stock_class(task)
    unique = tuple(dict.fromkeys(base for base in bases if base is not FastTask)) or (FastTask,)
    return cast(type[FastTask], type(f"{arm.title()}{stock.__name__}", (*unique, stock), {}))


def make_stock_task(name: str, layout: Vector) -> SawyerXYZEnv:
    """Meta-World's unmodified Sawyer environment with the goal shown, for comparison; `reset()` uses that layout."""
    env: SawyerXYZEnv = stock_class(get_task(name))()
    env._partially_observable = False
    env._freeze_rand_vec = env._set_task_called = True
    env.__dict__.pop("sawyer_observation_space", None)
    env._last_rand_vec = layout
    return env


def make_task(name: str, arm: str, actuation: str, frame_skip: int = MOCAP_FRAME_SKIP) -> FastTask:
    """The Meta-World environment of a task on that arm; a step is `frame_skip` times 2.5 ms.

    Raises:
        TaskError: an unknown task.
        SimulationError: an unknown arm or actuation, or a pair that does not exist.
    """
    task = get_task(name)
    check_choice(arm, actuation)
    scene_file = stock_class(task).model_name.fget(None)  # type: ignore[attr-defined]
    model = build_model(scene_file, arm, actuation)
    return _task_class(task, arm, actuation)(model, frame_skip)
