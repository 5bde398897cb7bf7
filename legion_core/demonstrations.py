"""What the policy imitates: the scripted experts' actions on states that experts, noise or the policy itself visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.config import require
from legion_core.policy import LegionPolicy
from legion_core.sim import ArmBridge, make_env
from legion_core.sim.experts import expert_action
from legion_core.spaces import ACTION_FIELDS, Float32, ObservationSpec

AFTER_SUCCESS = 15
"""Steps that an episode goes on after success, so that the policy learns to stay there."""


@dataclass(frozen=True)
class Noise:
    """Bursts of a constant random action, which lead to states that the expert alone never visits."""

    probability: float = 0.04
    """Of a burst beginning at a step."""
    longest: int = 10
    """Steps."""

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, "probability", self.probability, "0 to 1")
        require(self.longest > 0, "longest", self.longest, "> 0")


@dataclass(frozen=True)
class Rollout:
    """A job for one process: one episode for each seed. Without a `bundle` the expert itself acts."""

    task: str
    actuation: str
    seeds: tuple[int, ...]
    spec: ObservationSpec
    noise: Noise | None = None
    bundle: PolicyBundle | None = None
    bridge: Callable[[], ArmBridge] | None = None


@dataclass(frozen=True)
class Demonstrations:
    """N transitions with the expert's action for each."""

    observations: Float32
    """(N, O)"""
    next_observations: Float32
    """(N, O)"""
    actions: Float32
    """(N, 4): what was done."""
    labels: Float32
    """(N, 4): what the expert would have done."""
    episodes: int
    successes: int


def collect(rollout: Rollout) -> Demonstrations:
    """Run the rollout's episodes; each ends a little after success or with its time."""
    env = make_env(rollout.task, actuation=rollout.actuation, bridge=rollout.bridge, spec=rollout.spec)
    policy = None if rollout.bundle is None else LegionPolicy(rollout.bundle)
    steps: list[tuple[Float32, Float32, Float32, Float32]] = []
    successes = 0
    for seed in rollout.seeds:
        rng = np.random.default_rng([seed])
        bursts = _Bursts(rollout.noise, rng)
        observation, info = env.reset(seed=seed)
        remaining, truncated = AFTER_SUCCESS, False
        while not truncated and remaining > 0:
            label = expert_action(rollout.task, env.expert_observation()).astype(np.float32)
            if policy is None or rollout.bundle is None:
                action = bursts.disturb(label)
            else:
                action = policy.act(observation, rollout.bundle.embedding(rollout.task)).action
            before = observation
            observation, _, _, truncated, info = env.step(action)
            steps.append((before, observation, action, label))
            remaining -= info["episode_success"]
        successes += info["episode_success"]
    env.close()
    before, after, actions, labels = (np.stack(column) for column in zip(*steps, strict=True))
    return Demonstrations(before, after, actions, labels, len(rollout.seeds), successes)


class _Bursts:
    """Noise as it unfolds over an episode."""

    def __init__(self, noise: Noise | None, rng: np.random.Generator) -> None:
        self._noise, self._rng = noise, rng
        self._action: Float32 = np.zeros(len(ACTION_FIELDS), np.float32)
        self._left = 0

    def disturb(self, action: Float32) -> Float32:
        """The action, or that of the burst in progress."""
        if self._noise is None:
            return action
        if self._left == 0 and self._rng.random() < self._noise.probability:
            self._left = int(self._rng.integers(1, self._noise.longest + 1))
            self._action = self._rng.uniform(-1, 1, len(action)).astype(np.float32)
        if self._left == 0:
            return action
        self._left -= 1
        return self._action
