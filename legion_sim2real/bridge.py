"""The whole bridge in one process: what the ROS nodes call, called directly by the servo simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from legion_core.spaces import Float32, ObservationSpec, Vector
from legion_sim2real.calibration import Calibration
from legion_sim2real.real2sim import RobotState, Scene
from legion_sim2real.robot import RobotProfile, load_profile
from legion_sim2real.sim2real import Command, Sim2Real


class SimulatedState(Protocol):
    """What the bridge reads of a simulator's state: stamps (s), joints (7,) rad, opening and world positions (3,) m."""

    @property
    def time_s(self) -> float: ...
    @property
    def joint_positions(self) -> Vector: ...
    @property
    def gripper_opening(self) -> float: ...
    @property
    def object_position(self) -> Vector: ...
    @property
    def object2_position(self) -> Vector | None: ...
    @property
    def goal_position(self) -> Vector: ...
    @property
    def object_stamp_s(self) -> float: ...


class Bridge:
    """Observations out of, and commands into, a simulated arm: `legion_core.sim.ArmBridge` in the same process.

    Attributes `real2sim` and `sim2real` are the objects that the nodes of those names hold, `robot` is the arm of the
    profile. The guard is active.
    """

    def __init__(self, profile: RobotProfile, spec: ObservationSpec) -> None:
        self.robot = profile.embodiment()
        self.real2sim = profile.make_real2sim(spec)
        self.sim2real = profile.make_sim2real()
        self.sim2real.guard.activate()
        self._calibration = self.real2sim.calibration
        self._interpolates = profile.interpolation_rate_hz is not None
        self._silence_s = profile.silence_s(self.sim2real.guard.limits)
        self._acted_at_s = -math.inf

    @property
    def interventions(self) -> Mapping[str, int]:
        """How often the guard has intervened since the bridge was made, by name."""
        return self.sim2real.guard.counts

    def reset(self, state: SimulatedState) -> None:
        """A new episode begins: start from the measured pose."""
        self.real2sim.reset()
        self.sim2real.reset()

    def miscalibrate(self, rotation: Vector, offset: Vector) -> None:
        """Take the world point p for rotation (3, 3) @ p + offset (3,): a calibration that is wrong by as much."""
        right, old = self._calibration, self.sim2real
        wrong = Calibration(right.rotation @ rotation, right.to_sim(offset), right.scale)
        self.real2sim.calibration = wrong
        self.sim2real = Sim2Real(self.real2sim.kinematics, wrong, old.config, old.guard)

    def observe(self, state: SimulatedState) -> Float32:
        """The observation (spec.size,) of the simulator's state."""
        scene = Scene(state.object_position, state.object2_position, state.goal_position, state.object_stamp_s)
        return self.real2sim.observe(robot_state(state), scene)

    def act(self, action: Vector, state: SimulatedState) -> tuple[Vector, float]:
        """Joint positions (7,) and gripper command in [-1, 1] for an `action` (4,) that answers `state`.

        Where the guard lets nothing through, the measured joints are the command: the simulated arm stays.
        """
        now_s = self._acted_at_s = state.time_s
        return _sent(self.sim2real.act(action, now_s, robot_state(state), now_s, state.object_stamp_s), state)

    def coast(self, state: SimulatedState, now_s: float) -> tuple[Vector, float] | None:
        """What sim2real_node sends in a period without an action: nothing, or on to the target; after silence a stop.

        `state` is the last that has arrived, `now_s` the time.
        """
        if now_s - self._acted_at_s >= self._silence_s:
            return _sent(self.sim2real.hold(robot_state(state), now_s), state)
        if self._interpolates:
            return _sent(self.sim2real.tick(robot_state(state), now_s), state)
        return None


def _sent(command: Command, state: SimulatedState) -> tuple[Vector, float]:
    joints = state.joint_positions if command.joint_positions is None else command.joint_positions
    return joints, command.gripper or 0.0


def robot_state(state: SimulatedState) -> RobotState:
    """The part of a simulator's state that a robot would measure."""
    return RobotState(state.time_s, state.joint_positions, state.gripper_opening)


@dataclass(frozen=True)
class BridgeFactory:
    """A picklable maker of bridges, so that vectorised environments can make one a process."""

    robot: str = "mujoco"
    spec: ObservationSpec = field(default_factory=ObservationSpec)

    def __call__(self) -> Bridge:
        return Bridge(load_profile(self.robot), self.spec)
