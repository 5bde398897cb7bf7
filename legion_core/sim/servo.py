"""The servo actuation as a Gymnasium environment: action -> bridge -> joint command -> simulated robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from legion_core.embodiment import Embodiment
from legion_core.sim.env import TaskEnv
from legion_core.sim.fast_task import FastTask
from legion_core.sim.plant import PlantState, RobotPlant
from legion_core.sim.reality_gap import GappedRobot, RealityGap
from legion_core.spaces import Float32, ObservationSpec, Vector


class ArmBridge(Protocol):
    """What stands between policy and robot; injected, so that simulation and robot run the very same code."""

    @property
    def robot(self) -> Embodiment:
        """The arm that it commands."""

    @property
    def interventions(self) -> Mapping[str, int]:
        """How often its safety guard has intervened since it was made, by name."""

    def reset(self, state: PlantState) -> None:
        """Forget the episode before; `state` is the measured start."""

    def observe(self, state: PlantState) -> Float32:
        """The policy's observation (spec.size,)."""

    def act(self, action: Vector, state: PlantState) -> tuple[Vector, float]:
        """Joint command (7,) in rad and gripper command, -1 open to +1 closed, for an action (4,)."""

    def coast(self, state: PlantState, now_s: float) -> tuple[Vector, float] | None:
        """The command of a period `now_s` without an action, None for none; `state` is the last that arrived."""

    def miscalibrate(self, rotation: Vector, offset: Vector) -> None:
        """From the next reset on take the world point (3,) p for rotation @ p + offset: a wrong calibration."""


class ServoEnv(TaskEnv):
    """The robot's joints follow commands of an `ArmBridge`, 20 ms a step.

    Across a reality gap the observation of a step whose joint states are lost is that of the step before, and the
    action that answers it goes nowhere: the policy has heard of nothing that it could answer.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        bridge: Callable[[], ArmBridge],
        spec: ObservationSpec,
        max_steps: int | None,
        render_mode: str | None,
        gap: RealityGap | None = None,
    ) -> None:
        super().__init__(task, spec, max_steps, render_mode)
        self.bridge = bridge()
        self.plant = RobotPlant(task, robot=self.bridge.robot)
        self._robot = GappedRobot(self.plant, gap) if gap else None
        self._state = self.plant.state()
        self._command = self._state.joint_positions, 0.0
        self._heard = True

    @property
    def scene(self) -> FastTask:
        return self.plant.scene

    @property
    def interventions(self) -> Mapping[str, int]:
        return self.bridge.interventions

    def _start(self, seed: int | None) -> None:
        self._heard = True
        if self._robot is None:
            self._state = self.plant.reset(seed=seed)
        else:
            self._state = self._robot.start(seed)
            world = self._robot.draw.world
            self.bridge.miscalibrate(world.rotation, world.offset)
        self._command = self._state.joint_positions, 0.0
        self.bridge.reset(self._state)
        self._observation = self.bridge.observe(self._state)

    def _observe(self) -> Float32:
        return self._observation.copy()

    def _advance(self, action: Vector) -> tuple[float, bool]:
        if self._robot is None:
            self._state = self.plant.step(*self.bridge.act(action, self._state))
            self._observation = self.bridge.observe(self._state)
        else:
            self._advance_across_the_gap(self._robot, action)
        return self.plant.reward, self.plant.success

    def _advance_across_the_gap(self, robot: GappedRobot, action: Vector) -> None:
        """As in the graph: what is lost is answered by nobody, and the robot keeps the command that it has."""
        command: tuple[Vector, float] | None
        if self._heard and robot.deliver():
            command = self.bridge.act(action, self._state)
        else:
            command = self.bridge.coast(self._state, self.plant.time_s)
        if command is not None and robot.deliver():
            self._command = command
        seen = robot.measure(self.plant.step(*self._command))
        self._heard = seen is not None
        if seen is not None:
            self._state = seen
            self._observation = self.bridge.observe(seen)
