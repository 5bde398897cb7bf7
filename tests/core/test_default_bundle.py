"""The shipped policy: what its manifest promises, and that it holds on layouts that nobody has looked at."""

from __future__ import annotations

import numpy as np
import pytest

from legion_core.bundle import DEFAULT_BUNDLE, PolicyBundle
from legion_core.evaluation import evaluate_direct
from legion_core.policy import LegionPolicy
from legion_core.sim import EVALUATION_SEED_BASE, RealityGap, make_env
from legion_core.spaces import DEFAULT_FIELDS
from legion_core.tasks import all_tasks
from legion_sim2real.bridge import BridgeFactory

BARS = {"mocap": (0.97, 0.85), "servo": (0.96, 0.85), "gap": (0.90, 0.70)}
"""Mean success and that of the worst task: in both actuations, and in servo actuation across the reality gap."""
LARGEST_BYTES = 8_000_000
FRESH_SEED = EVALUATION_SEED_BASE + 500_000


def test_it_is_small_and_says_how_it_came_to_be(shipped_bundle: PolicyBundle) -> None:
    assert sum(file.stat().st_size for file in DEFAULT_BUNDLE.iterdir()) < LARGEST_BYTES
    training = shipped_bundle.manifest.training
    assert training["command"].startswith("legion train")
    assert training["settings"]["mode"] == "lifelong"
    assert {"updates", "environment_steps", "seconds", "packages", "method"} <= set(training)


@pytest.mark.parametrize("world", BARS)
def test_its_measured_success_meets_the_bars(shipped_bundle: PolicyBundle, world: str) -> None:
    measured = shipped_bundle.manifest.success[world]
    assert measured["episodes"] >= 50
    assert measured["first seed"] >= EVALUATION_SEED_BASE
    assert set(measured["tasks"]) == set(shipped_bundle.task_names)
    mean, worst = BARS[world]
    assert measured["mean"] >= mean
    assert measured["worst"] >= worst


def test_it_knows_the_ten_tasks_in_the_words_of_this_version(shipped_bundle: PolicyBundle) -> None:
    assert shipped_bundle.manifest.tasks == all_tasks()
    assert shipped_bundle.spec.fields == DEFAULT_FIELDS
    assert sorted(shipped_bundle.knowledge.tasks) == sorted(shipped_bundle.task_names), "one component a task"


@pytest.mark.parametrize("world", BARS)
def test_it_does_the_tasks_in_fresh_layouts(shipped_bundle: PolicyBundle, world: str) -> None:
    gap = RealityGap.load() if world == "gap" else None
    result = evaluate_direct(
        shipped_bundle,
        episodes=2,
        actuation="mocap" if world == "mocap" else "servo",
        bridge_factory=BridgeFactory("mujoco_gap" if gap else "mujoco"),
        gap=gap,
        first_seed=FRESH_SEED,
        progress=False,
    )
    failed = [(episode.task, episode.seed) for episode in result.episodes if not episode.success]
    assert len(failed) <= (2 if gap else 1), failed


def test_each_task_is_its_own_component_and_familiar(shipped_bundle: PolicyBundle) -> None:
    policy, knowledge = LegionPolicy(shipped_bundle), shipped_bundle.knowledge
    for task in shipped_bundle.task_names:
        observation, _ = make_env(task).reset(seed=FRESH_SEED)
        step = policy.act(observation, shipped_bundle.embedding(task))
        assert knowledge.tasks[int(step.responsibilities.argmax())] == task
        assert step.familiar, task


def test_a_meaningless_embedding_and_an_impossible_scene_are_unfamiliar(shipped_bundle: PolicyBundle) -> None:
    policy, rng = LegionPolicy(shipped_bundle), np.random.default_rng(0)
    observation, _ = make_env("push").reset(seed=FRESH_SEED)
    noise = rng.normal(size=(50, shipped_bundle.manifest.embedding.size))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert np.mean([policy.act(observation, embedding).familiar for embedding in noise]) < 0.1
    elsewhere = observation + rng.normal(scale=0.5, size=(50, observation.size))
    push = shipped_bundle.embedding("push")
    assert np.mean([policy.act(strange, push).familiar for strange in elsewhere]) < 0.1
