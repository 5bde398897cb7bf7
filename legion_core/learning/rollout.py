"""Episodes in worker processes: of the scripted expert, of random actions, or of the policy as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from legion_core.inference import ACTION_SIZE, LOG_STD_RANGE, PolicyForward
from legion_core.knowledge import KnowledgeSpace
from legion_core.learning.replay import Transitions
from legion_core.learning.settings import Noise
from legion_core.sim import ArmBridge, RealityGap, TaskEnv, make_env
from legion_core.sim.experts import expert_action
from legion_core.spaces import Float32, ObservationSpec

Who = Literal["expert", "random", "policy"]


@dataclass(frozen=True)
class ActingPolicy:
    """What a worker needs to act: the policy's weights and the sentence's embedding (E,)."""

    weights: Mapping[str, Float32]
    embedding: Float32
    sample: bool
    """Draw actions as soft actor-critic explores; otherwise take their mean."""


@dataclass(frozen=True)
class Rollout:
    """A job for one process: one episode for each seed."""

    task: str
    index: int
    """Of the task in the run."""
    arm: str
    actuation: str
    seeds: tuple[int, ...]
    spec: ObservationSpec
    who: Who
    after_success: int
    """Steps for which an episode goes on after success."""
    labelled: bool
    """Note what the expert would do at every step."""
    noise: Noise | None = None
    policy: ActingPolicy | None = None
    bridge: Callable[[], ArmBridge] | None = None
    gap: RealityGap | None = None


@dataclass(frozen=True)
class Collected:
    """The job's transitions and how its episodes went."""

    transitions: Transitions
    episodes: int
    successes: int
    mean_return: float


def collect(job: Rollout) -> Collected:
    """Run the job's episodes; each ends a while after success or with its time."""
    env = make_env(job.task, arm=job.arm, actuation=job.actuation, bridge=job.bridge, spec=job.spec, gap=job.gap)
    actor = _Actor(job.policy) if job.policy else None
    parts, returns, successes = [], [], 0
    for seed in job.seeds:
        episode, total, solved = _episode(env, job, actor, seed)
        parts.append(episode)
        returns.append(total)
        successes += solved
    env.close()
    return Collected(Transitions.concatenate(parts), len(job.seeds), successes, float(np.mean(returns)))


def _episode(env: TaskEnv, job: Rollout, actor: _Actor | None, seed: int) -> tuple[Transitions, float, bool]:
    rng = np.random.default_rng([seed])
    bursts = _Bursts(job.noise, rng)
    unknown = np.full(ACTION_SIZE, np.nan, np.float32)
    columns: list[tuple[Float32, Float32, float, Float32, Float32, float]] = []
    observation, info = env.reset(seed=seed)
    remaining, truncated = job.after_success, False
    while not truncated and remaining >= 0:
        label = unknown
        if job.labelled:
            label = expert_action(job.task, env.expert_observation()).astype(np.float32)
        if actor is not None:
            action = actor.act(observation, rng)
        elif job.who == "expert":
            action = bursts.disturb(label)
        else:
            action = rng.uniform(-1, 1, ACTION_SIZE).astype(np.float32)
        before = observation
        observation, reward, _, truncated, info = env.step(action)
        columns.append((before, action, reward, observation, label, float(info["success"])))
        remaining -= info["episode_success"]
    before_, actions, rewards, after, labels, success = (np.array(c, np.float32) for c in zip(*columns, strict=True))
    count = len(columns)
    transitions = Transitions(
        observation=before_,
        action=actions,
        reward=rewards,
        next_observation=after,
        done=np.zeros(count, np.float32),  # Meta-World's tasks only run out of time
        label=labels,
        task=np.full(count, job.index, np.int64),
        success=success,
    )
    return transitions, float(rewards.sum()), bool(info["episode_success"])


class _Actor:
    """The policy's networks in numpy, acting by the mean or by a sample."""

    def __init__(self, policy: ActingPolicy) -> None:
        latent = policy.weights["encoder.mu_latent.bias"].size
        nothing_known = KnowledgeSpace(np.ones(1), np.zeros((1, latent)), np.ones((1, latent)), ("",))
        self._forward = PolicyForward(policy.weights, nothing_known)
        self._forward.condition(policy.embedding)
        self._spread = policy.weights["actor.model.9.weight"][ACTION_SIZE:]
        self._spread_bias = policy.weights["actor.model.9.bias"][ACTION_SIZE:]
        self._sample = policy.sample

    def act(self, observation: Float32, rng: np.random.Generator) -> Float32:
        forward = self._forward
        forward.observation[:] = observation
        forward.step()
        if not self._sample:
            return forward.action.copy()
        low, high = LOG_STD_RANGE
        log_std = low + 0.5 * (high - low) * (np.tanh(self._spread @ forward.hidden + self._spread_bias) + 1)
        mean = np.arctanh(np.clip(forward.action, -1 + 1e-6, 1 - 1e-6))
        action: Float32 = np.tanh(mean + np.exp(log_std) * rng.standard_normal(ACTION_SIZE)).astype(np.float32)
        return action


class _Bursts:
    """Noise as it unfolds over an episode."""

    def __init__(self, noise: Noise | None, rng: np.random.Generator) -> None:
        self._noise, self._rng = noise, rng
        self._action: Float32 = np.zeros(ACTION_SIZE, np.float32)
        self._left = 0

    def disturb(self, action: Float32) -> Float32:
        """The action, or that of the burst in progress."""
        if self._noise is None:
            return action
        if self._left == 0 and self._rng.random() < self._noise.probability:
            self._left = int(self._rng.integers(1, self._noise.longest + 1))
            self._action = self._rng.uniform(-1, 1, ACTION_SIZE).astype(np.float32)
        if self._left == 0:
            return action
        self._left -= 1
        return self._action
