"""The tasks as Gymnasium environments with LEGION's observation and action."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from legion_core.errors import SpaceError
from legion_core.sim.fast_task import FastTask
from legion_core.sim.metaworld_tasks import make_task
from legion_core.sim.rendering import Image, OffscreenRenderer
from legion_core.spaces import ACTION_FIELDS, Float32, ObservationSpec, TaskState, Vector
from legion_core.tasks import get_task

IMAGE_SIZE = (640, 480)


class TaskEnv(gymnasium.Env[Float32, Float32]):
    """One task; observation float32 (fields,), action float32 (4,) in [-1, 1].

    `info` holds `success` (solved at this step) and `episode_success` (at any step so far). Episodes are
    truncated after `max_steps` (by default the task's own) and never terminate.
    """

    def __init__(self, task: str, spec: ObservationSpec, max_steps: int | None, render_mode: str | None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise SpaceError(f"render_mode = {render_mode!r}; allowed: None, rgb_array")
        self.task, self.observation_spec, self.render_mode = task, spec, render_mode
        self.max_steps = get_task(task).max_steps if max_steps is None else max_steps
        self.observation_space = Box(-np.inf, np.inf, (spec.size,), np.float32)
        self.action_space = Box(-1.0, 1.0, (len(ACTION_FIELDS),), np.float32)
        self._renderer: OffscreenRenderer | None = None
        self._steps, self._solved = 0, False

    @property
    @abstractmethod
    def scene(self) -> FastTask:
        """The Meta-World environment below."""

    @property
    def interventions(self) -> Mapping[str, int]:
        """How often a safety guard has intervened since the environment was made, by name; nothing without one."""
        return {}

    @abstractmethod
    def _start(self, seed: int | None) -> None:
        """Reset the simulation to the layout of `seed`."""

    @abstractmethod
    def _advance(self, action: Vector) -> tuple[float, bool]:
        """One policy step: reward and success."""

    def _observe(self) -> Float32:
        return self.observation_spec.pack(self.scene.task_state())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32, dict[str, Any]]:
        """Start an episode in the layout of `seed`, or in the next one of the seed before."""
        super().reset(seed=seed, options=options)
        self._start(seed)
        self._steps, self._solved = 0, False
        return self._observe(), {"success": False, "episode_success": False}

    def step(self, action: Float32) -> tuple[Float32, float, bool, bool, dict[str, Any]]:
        """One policy step.

        Raises:
            SpaceError: an action of another length, or one that is not finite.
        """
        action = np.asarray(action)
        if action.shape != self.action_space.shape or not np.isfinite(action).all():
            raise SpaceError(f"action {action.tolist()}; expected {len(ACTION_FIELDS)} finite numbers")
        reward, success = self._advance(np.clip(action, -1.0, 1.0))
        self._steps += 1
        self._solved |= success
        info = {"success": success, "episode_success": self._solved}
        return self._observe(), reward, False, self._steps >= self.max_steps, info

    def expert_observation(self) -> Vector:
        """Meta-World's own observation (39,), goal included, which the experts read."""
        return self.scene.expert_observation()

    def task_state(self) -> TaskState:
        """The true state behind the observation, in the sim frame."""
        return self.scene.task_state()

    def render(self) -> Image | None:  # type: ignore[override]
        """A picture (480, 640, 3) where the render mode is `rgb_array`."""
        if self.render_mode is None:
            return None
        if self._renderer is None:
            self._renderer = OffscreenRenderer(self.scene.model)
        return self._renderer.render(self.scene.data, *IMAGE_SIZE)

    def close(self) -> None:
        """Give the rendering context back."""
        if self._renderer is not None:
            self._renderer.close()


class MocapEnv(TaskEnv):
    """Meta-World's own actuation: a weld drags the hand, 12.5 ms a step."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 80}  # noqa: RUF012

    def __init__(
        self, task: str, arm: str, spec: ObservationSpec, max_steps: int | None, render_mode: str | None
    ) -> None:
        self._scene = make_task(task, arm, "mocap")
        super().__init__(task, spec, max_steps, render_mode)

    @property
    def scene(self) -> FastTask:
        return self._scene

    def _start(self, seed: int | None) -> None:
        self._scene.start(seed)

    def _advance(self, action: Vector) -> tuple[float, bool]:
        return self._scene.advance(action)
