"""The whole bridge in one process: what the ROS nodes call, called directly by the servo simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from legion_core.spaces import Float32, ObservationSpec, Vector
from legion_sim2real.real2sim import RobotState, Scene
from legion_sim2real.robot import RobotProfile, load_profile


class SimulatedState(Protocol):
    """What the bridge reads of a simulator's state: stamp (s), joints (7,) rad, opening and world positions (3,) m."""

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

    @property
    def interventions(self) -> Mapping[str, int]:
        """How often the guard has intervened since the bridge was made, by name."""
        return self.sim2real.guard.counts

    def reset(self, state: SimulatedState) -> None:
        """A new episode begins: start from the measured pose."""
        self.sim2real.reset()

    def observe(self, state: SimulatedState) -> Float32:
        """The observation (spec.size,) of the simulator's state."""
        scene = Scene(state.object_position, state.object2_position, state.goal_position)
        return self.real2sim.observe(robot_state(state), scene)

    def act(self, action: Vector, state: SimulatedState) -> tuple[Vector, float]:
        """Joint positions (7,) and gripper command in [-1, 1] for an `action` (4,) that answers `state`.

        Where the guard lets nothing through, the measured joints are the command: the simulated arm stays.
        """
        command = self.sim2real.act(action, state.time_s, robot_state(state), state.time_s)
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
