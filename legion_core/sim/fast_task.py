"""Meta-World's task environments with the slow parts of a step replaced by equal, faster ones.

Meta-World spends most of a step in Python: named lookups, a scipy rotation for one quaternion, a
comprehension over every contact. `FastTask` overrides exactly those helpers; rewards, resets and success
rules stay Meta-World's own methods, on a faster `reward_utils`. `tests/core/test_sim_parity.py` holds both to the
same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from legion_core.errors import SimulationError
from legion_core.spaces import TaskState, Vector

MAXIMUM_OPENING_M = 0.1
"""Distance between the claws that Meta-World calls an opening of 1."""


class FastTask(SawyerXYZEnv):
    """Mixin in front of a Meta-World task class; shows the goal in the observation and never truncates."""

    _ids: dict[tuple[str, str], int] | None = None
    _scalar_first = True
    """Whether the task tells its object's quaternion as (w, x, y, z), as MuJoCo does, or as scipy does."""

    def __init__(self, model: mujoco.MjModel, frame_skip: int) -> None:
        self._compiled = model
        super().__init__()
        self.frame_skip = frame_skip
        self._set_task_called = True
        self._layouts = np.random.default_rng()
        self._settled = False
        self._partially_observable = False
        self.__dict__.pop("sawyer_observation_space", None)
        self.observation_space = self.sawyer_observation_space

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        return self._compiled, mujoco.MjData(self._compiled)

    # -- what the project's environments use -------------------------------------------------------------------

    def start(self, seed: int | None = None) -> None:
        """Meta-World's own reset, to the layout of `seed` or to the next one of the seed before."""
        if seed is not None:
            self._layouts = np.random.default_rng([seed])
        self._settled = False
        self.reset()
        # some resets move a joint and leave the positions that follow from it as they were
        mujoco.mj_kinematics(self.model, self.data)
        self._prev_obs = self._get_curr_obs_combined_no_goal()

    def advance(self, action: Vector) -> tuple[float, bool]:
        """One step of Meta-World with an action (4,): reward and whether the task is solved now.

        It leaves what its success rule measures, metres left to the target, in `distance_left`.

        Raises:
            SimulationError: the physics has diverged.
        """
        _, reward, _, _, info = self.step(action)
        if self.data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number:
            raise SimulationError(f"{self.task_name} became unstable {self.data.time:.3f} s after its reset")
        self.distance_left = float(info["obj_to_target"])
        return float(reward), bool(info["success"])

    def expert_observation(self) -> Vector:
        """Meta-World's observation (39,) of this moment, goal included."""
        return np.concatenate((self._get_curr_obs_combined_no_goal(), self._prev_obs, self._get_pos_goal()))

    def task_state(self) -> TaskState:
        """What a policy can see, in the sim frame."""
        observation = self._get_curr_obs_combined_no_goal()
        return TaskState(
            hand=observation[:3],
            object=observation[4:7],
            goal=self._get_pos_goal().copy(),
            object2=observation[11:14],
            gripper_opening=float(observation[3]),
            object_quaternion=self._orientation(observation[7:11]),
        )

    def _orientation(self, told: Vector) -> Vector:
        """The quaternion (x, y, z, w), w >= 0, of the one `told` in the task's own order; no rotation of none told."""
        x, y, z, w = told[[1, 2, 3, 0]] if self._scalar_first else told
        if x == y == z == w == 0.0:
            w = 1.0
        return np.array((x, y, z, w)) if w >= 0.0 else np.array((-x, -y, -z, -w))

    def _get_state_rand_vec(self) -> Vector:
        """The layout of this reset: the task's own `reset_model` draws until it likes one."""
        if not self._settled:
            space = self._random_reset_space
            assert space is not None
            self._last_rand_vec = self._layouts.uniform(space.low, space.high)
        assert self._last_rand_vec is not None
        return self._last_rand_vec

    def reset_model(self) -> Vector:
        """Meta-World's, which its `reset` runs twice: the second time in the layout that the first has settled on."""
        observation = super().reset_model()
        self._settled = True
        return observation

    # -- faster equals of Meta-World's helpers ---------------------------------------------------------------

    def step(self, action: Any) -> tuple[Vector, float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        self.set_xyz_action(action[:3])
        self.do_simulation((action[3], -action[3]), self.frame_skip)
        for name, position in self._target_site_config:
            self._set_pos_site(name, position)
        self._look()
        bounds = self.sawyer_observation_space
        observation = np.minimum(np.maximum(self._get_obs(), bounds.low), bounds.high)
        reward, info = self.evaluate_state(observation, action)
        return observation, reward, False, False, info

    def _look(self) -> None:
        """Bring all that follows from the joint positions up to date."""
        mujoco.mj_forward(self.model, self.data)

    def set_xyz_action(self, action: Vector) -> None:
        target = self.data.mocap_pos[0] + np.minimum(np.maximum(action, -1.0), 1.0) * self.action_scale
        self.data.mocap_pos[0] = np.minimum(np.maximum(target, self.mocap_low), self.mocap_high)
        self.data.mocap_quat[0] = (1.0, 0.0, 1.0, 0.0)

    def do_simulation(self, ctrl: Any, n_frames: int) -> None:
        self._step_mujoco_simulation(ctrl, n_frames)

    def _id(self, kind: str, name: str) -> int:
        """Number of the named body, site or geom, looked up once."""
        if self._ids is None:
            self._ids = {}
        number = self._ids.get((kind, name))
        if number is None:
            number = self._ids[kind, name] = getattr(self.model, kind)(name).id
        return number

    def get_body_com(self, body_name: str) -> Vector:
        return self.data.xpos[self._id("body", body_name)]  # type: ignore[no-any-return]

    def get_endeff_pos(self) -> Vector:
        return self.get_body_com("hand")

    @property
    def tcp_center(self) -> Vector:
        sites = self.data.site_xpos
        return (sites[self._id("site", "rightEndEffector")] + sites[self._id("site", "leftEndEffector")]) / 2.0  # type: ignore[no-any-return]

    def _get_site_pos(self, site_name: str) -> Vector:
        return self.data.site_xpos[self._id("site", site_name)].copy()  # type: ignore[no-any-return]

    def _set_pos_site(self, name: str, pos: Vector) -> None:
        self.data.site_xpos[self._id("site", name)] = pos[:3]

    def _get_curr_obs_combined_no_goal(self) -> Vector:
        hand, right, left = self.get_endeff_pos(), self.get_body_com("rightclaw"), self.get_body_com("leftclaw")
        observation = np.zeros(18)
        observation[:3] = hand
        observation[3] = min(math.dist(right, left) / MAXIMUM_OPENING_M, 1.0)
        positions, quaternions = self._get_pos_objects(), self._get_quat_objects()
        observation[4:7], observation[7:11] = positions[:3], quaternions[:4]
        if len(positions) > 3:
            observation[11:14], observation[14:18] = positions[3:], quaternions[4:]
        return observation

    def _get_obs(self) -> Vector:
        current = self._get_curr_obs_combined_no_goal()
        observation = np.concatenate((current, self._prev_obs, self._get_pos_goal()))
        self._prev_obs = current
        return observation

    def touching_object(self, object_geom_id: int) -> bool:
        pairs, force = self.data.contact.geom, self.data.efc_force
        for pad in ("leftpad_geom", "rightpad_geom"):
            mine = ((pairs == self._id("geom", pad)) | (pairs == object_geom_id)).all(axis=1)
            if not mine.any() or force[self.data.contact.efc_address[mine]].sum() <= 0:
                return False
        return True

    def _step_mujoco_simulation(self, ctrl: Any, n_frames: int) -> None:
        self.data.ctrl[:] = ctrl
        mujoco.mj_step(self.model, self.data, nstep=n_frames)


class MatrixOrientation(FastTask):
    """For the tasks whose object quaternion Meta-World takes from a rotation matrix through scipy."""

    _scalar_first = False
    _oriented = ("geom", "objGeom")
    """What is turned: a geom, site or body, and its name."""

    def _get_quat_objects(self) -> Vector:
        kind, name = self._oriented
        matrices = {"geom": self.data.geom_xmat, "site": self.data.site_xmat, "body": self.data.xmat}[kind]
        return quaternion_xyzw(matrices[self._id(kind, name)])


class StickOrientation(MatrixOrientation):
    """The stick is turned; of the thermos beside it Meta-World tells no orientation."""

    _oriented = ("body", "stick")

    def _get_quat_objects(self) -> Vector:
        return np.append(super()._get_quat_objects(), np.zeros(4))


def quaternion_xyzw(matrix: Vector) -> Vector:
    """The quaternion (x, y, z, w) of a rotation matrix of 9 numbers, of the same sign as scipy's."""
    xx, xy, xz, yx, yy, yz, zx, zy, zz = matrix.tolist()
    trace = xx + yy + zz
    largest = max(xx, yy, zz, trace)
    if largest == xx:
        q = (1 - trace + 2 * xx, yx + xy, zx + xz, zy - yz)
    elif largest == yy:
        q = (yx + xy, 1 - trace + 2 * yy, zy + yz, xz - zx)
    elif largest == zz:
        q = (zx + xz, zy + yz, 1 - trace + 2 * zz, yx - xy)
    else:
        q = (zy - yz, xz - zx, yx - xy, 1 + trace)
    return np.array(q) / math.hypot(*q)
