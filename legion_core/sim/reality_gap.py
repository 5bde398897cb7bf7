"""The reality gap: what a real cell does to a policy that has learned in the simulator, drawn anew for each episode.

Success is still judged by the simulator's truth; only what is measured, sent and simulated is worse.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np

from legion_core import config
from legion_core.config import require
from legion_core.resources import resource
from legion_core.sim.plant import ROBOT_LAG_S, PlantState, RobotPlant
from legion_core.spaces import Vector

GAP_FILE = "config/gap.yaml"
SCENE_CENTRE_M = (0.0, 0.65, 0.1)
"""The middle of what is seen, simulation frame: a calibration is best, and its turn does least, amid its points."""
_STREAM = 1
"""Keeps the draws of an episode apart from those of its layout, which has the same seed."""
_RESOLUTION_S = 1e-9

Range = tuple[float, float]


@dataclass(frozen=True)
class RealityGap:
    """How far a robot is from the simulation. Ranges [low, high] are drawn from once an episode; SI units.

    Robot: `robot_lag_s`, time constant of the first-order lag on the joint command; `friction_factor` on contact
    friction, joint friction and joint damping; `mass_factor` on masses and inertias of links and objects (the arm's
    own controller still carries its weight).
    Camera: `camera_rate_hz`, `camera_delay_s` from exposure to the pose, `object_noise_m` the standard deviation on
    each axis. A goal is a wish, stated once by who has seen the scene: it has neither noise nor delay.
    Calibration, each in a random direction or about a random axis through the middle of the scene:
    `camera_shift_m` and `camera_turn_deg` between camera and base, which misplace objects and goal against the hand;
    `world_shift_m` and `world_turn_deg` between base and simulation frame, which misplace all of them alike.
    Messages: `message_loss`, the share that is lost of joint states, object poses, actions and commands.
    `strength` is the share of all that (0 the plain simulation, 1 the whole) that an episode has; the camera's rate
    stays.
    """

    robot_lag_s: Range
    friction_factor: Range
    mass_factor: Range
    camera_rate_hz: float
    camera_delay_s: float
    object_noise_m: float
    camera_shift_m: float
    camera_turn_deg: float
    world_shift_m: float
    world_turn_deg: float
    message_loss: float
    strength: Range = (1.0, 1.0)

    def __post_init__(self) -> None:
        for key, low, high in (
            ("robot_lag_s", 0.0, 0.5),
            ("friction_factor", 0.1, 10.0),
            ("mass_factor", 0.1, 10.0),
            ("strength", 0.0, 1.0),
        ):
            least, most = getattr(self, key)
            require(low <= least <= most <= high, key, [least, most], f"[low, high] within {low} to {high}")
        for key, low, high in (
            ("camera_rate_hz", 1.0, 1000.0),
            ("camera_delay_s", 0.0, 1.0),
            ("object_noise_m", 0.0, 0.1),
            ("camera_shift_m", 0.0, 0.1),
            ("camera_turn_deg", 0.0, 20.0),
            ("world_shift_m", 0.0, 0.1),
            ("world_turn_deg", 0.0, 20.0),
            ("message_loss", 0.0, 0.9),
        ):
            require(low <= getattr(self, key) <= high, key, getattr(self, key), f"{low} to {high}")

    @classmethod
    def load(cls, path: Path | str | None = None) -> RealityGap:
        """The gap in a YAML file, by default `config/gap.yaml`.

        Raises:
            ConfigurationError: the file is missing, malformed or out of range.
        """
        return config.load(cls, path or resource(GAP_FILE))

    def draw(self, rng: np.random.Generator, centre: Vector) -> Draw:
        """What holds for one episode of a scene with that `centre` (3,), world frame."""
        strength = float(rng.uniform(*self.strength))

        def between(plain: float, bounds: Range) -> float:
            return plain + strength * (float(rng.uniform(*bounds)) - plain)

        return Draw(
            robot_lag_s=between(ROBOT_LAG_S, self.robot_lag_s),
            friction_factor=between(1.0, self.friction_factor),
            mass_factor=between(1.0, self.mass_factor),
            camera_period_s=1.0 / self.camera_rate_hz,
            camera_phase_s=float(rng.uniform(0.0, 1.0 / self.camera_rate_hz)),
            camera_delay_s=strength * self.camera_delay_s,
            object_noise_m=strength * self.object_noise_m,
            camera=Displacement.draw(rng, strength * self.camera_shift_m, strength * self.camera_turn_deg, centre),
            world=Displacement.draw(rng, strength * self.world_shift_m, strength * self.world_turn_deg, centre),
            message_loss=strength * self.message_loss,
        )


@dataclass(frozen=True, eq=False)
class Displacement:
    """A wrong calibration: a point p (3,) of the world frame appears at `rotation` (3, 3) @ p + `offset` (3,)."""

    rotation: Vector
    offset: Vector

    @classmethod
    def draw(cls, rng: np.random.Generator, shift_m: float, turn_deg: float, centre: Vector) -> Displacement:
        """One that shifts `centre` (3,) in a random direction and turns about a random axis through it."""
        direction, axis = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
        quaternion, numbers = np.zeros(4), np.zeros(9)
        mujoco.mju_axisAngle2Quat(quaternion, axis, math.radians(turn_deg))
        mujoco.mju_quat2Mat(numbers, quaternion)
        rotation = numbers.reshape(3, 3)
        return cls(rotation, centre + shift_m * direction - rotation @ centre)

    def apply(self, point: Vector) -> Vector:
        """Where a point (3,) appears."""
        seen: Vector = self.rotation @ point + self.offset
        return seen


@dataclass(frozen=True, eq=False)
class Draw:
    """One episode's share of a `RealityGap`: all but noise and losses. A camera's first picture after the episode's
    begins is taken `camera_phase_s` into it."""

    robot_lag_s: float
    friction_factor: float
    mass_factor: float
    camera_period_s: float
    camera_phase_s: float
    camera_delay_s: float
    object_noise_m: float
    camera: Displacement
    world: Displacement
    message_loss: float


class GappedRobot:
    """The robot of a `RobotPlant`, seen and commanded across a reality gap.

    `start` begins an episode, which has the present `draw`, and tells what is seen first; `measure` is what arrives of
    a state, `deliver` whether an action or a command arrives.
    """

    def __init__(self, plant: RobotPlant, gap: RealityGap) -> None:
        self._plant, self._gap = plant, gap
        self._rng = np.random.default_rng()
        self._nominal: dict[str, _Nominal] = {}
        self._camera: _Camera | None = None
        self._centre = plant.robot.to_world(np.array(SCENE_CENTRE_M))
        self.draw = gap.draw(self._rng, self._centre)

    def start(self, seed: int | None = None, task: str | None = None) -> PlantState:
        """Start an episode of `task` (the present one by default) in the layout and with the gap of `seed`, or in those
        that follow the seed before."""
        if seed is not None:
            self._rng = np.random.default_rng([seed, _STREAM])
        self.draw = self._gap.draw(self._rng, self._centre)
        plant = self._plant
        plant.task = task or plant.task
        if plant.task not in self._nominal:
            self._nominal[plant.task] = _Nominal(plant.model)
        self._nominal[plant.task].apply(plant.model, self.draw)
        plant.robot_lag_s = self.draw.robot_lag_s
        state = plant.reset(seed=seed)
        self._camera = _Camera(self.draw, self._rng, state)
        return self._camera.look(state)

    def measure(self, state: PlantState) -> PlantState | None:
        """The state as it arrives; None where the joint states are lost."""
        assert self._camera is not None, "start an episode first"
        seen = self._camera.look(state)
        return seen if self.deliver() else None

    def deliver(self) -> bool:
        """Whether one message arrives."""
        return bool(self._rng.random() >= self.draw.message_loss)


class _Camera:
    """Takes pictures at its own rate and tells of them late, each once."""

    def __init__(self, draw: Draw, rng: np.random.Generator, first: PlantState) -> None:
        self._draw, self._rng = draw, rng
        self._under_way: deque[PlantState] = deque()
        self._next_s = first.time_s + draw.camera_phase_s
        self._told = self._picture(first)  # an episode begins when the scene has been seen

    def look(self, state: PlantState) -> PlantState:
        """`state` with the objects where the camera last said they were, and the stamp of that picture."""
        if self._due(self._next_s, state.time_s):
            while self._due(self._next_s, state.time_s):
                self._next_s += self._draw.camera_period_s
            if self._rng.random() >= self._draw.message_loss:
                self._under_way.append(self._picture(state))
        while self._under_way and self._due(
            self._under_way[0].object_stamp_s + self._draw.camera_delay_s, state.time_s
        ):
            self._told = self._under_way.popleft()
        return replace(
            state,
            object_position=self._told.object_position,
            object2_position=self._told.object2_position,
            object_stamp_s=self._told.object_stamp_s,
            goal_position=self._draw.camera.apply(state.goal_position),
        )

    @staticmethod
    def _due(at_s: float, now_s: float) -> bool:
        return now_s > at_s - _RESOLUTION_S

    def _picture(self, state: PlantState) -> PlantState:
        second = state.object2_position
        return replace(
            state,
            object_position=self._measure(state.object_position),
            object2_position=None if second is None else self._measure(second),
        )

    def _measure(self, position: Vector) -> Vector:
        noise = self._rng.normal(scale=self._draw.object_noise_m, size=3)
        measured: Vector = self._draw.camera.apply(position) + noise
        return measured


class _Nominal:
    """Friction and masses of a model before anything was changed."""

    FRICTION = ("geom_friction", "dof_frictionloss", "dof_damping")
    MASS = ("body_mass", "body_inertia")

    def __init__(self, model: mujoco.MjModel) -> None:
        self._values = {name: getattr(model, name).copy() for name in (*self.FRICTION, *self.MASS)}

    def apply(self, model: mujoco.MjModel, draw: Draw) -> None:
        """Give the model the friction and masses of an episode."""
        for names, factor in ((self.FRICTION, draw.friction_factor), (self.MASS, draw.mass_factor)):
            for name in names:
                getattr(model, name)[:] = factor * self._values[name]
        mujoco.mj_setConst(model, mujoco.MjData(model))
