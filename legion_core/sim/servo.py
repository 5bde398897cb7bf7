"""The servo actuation as a Gymnasium environment: action -> bridge -> joint command -> simulated robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from legion_core.embodiment import Embodiment
from legion_core.sim.env import TaskEnv
from legion_core.sim.fast_task import FastTask
from legion_core.sim.plant import PlantState, RobotPlant
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


class ServoEnv(TaskEnv):
    """The robot's joints follow commands of an `ArmBridge`, 20 ms a step."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        bridge: Callable[[], ArmBridge],
        spec: ObservationSpec,
        max_steps: int | None,
        render_mode: str | None,
    ) -> None:
        super().__init__(task, spec, max_steps, render_mode)
        self.bridge = bridge()
        self.plant = RobotPlant(task, robot=self.bridge.robot)
        self._state = self.plant.state()

    @property
    def scene(self) -> FastTask:
        return self.plant.scene

    @property
    def interventions(self) -> Mapping[str, int]:
        return self.bridge.interventions

    def _start(self, seed: int | None) -> None:
        self._state = self.plant.reset(seed=seed)
        self.bridge.reset(self._state)

    def _observe(self) -> Float32:
        return self.bridge.observe(self._state)

    def _advance(self, action: Vector) -> tuple[float, bool]:
        self._state = self.plant.step(*self.bridge.act(action, self._state))
        return self.plant.reward, self.plant.success
