"""Episodes for learning: true next observations, labels, noise, and a policy that explores as its weights say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("metaworld")

from legion_core.bundle import PolicyBundle
from legion_core.learning.rollout import ActingPolicy, Rollout, _Actor, collect
from legion_core.learning.settings import Noise
from legion_core.policy import LegionPolicy
from legion_core.sim import MAX_STEPS, RealityGap, make_env
from legion_core.sim.experts import expert_action
from legion_core.spaces import ObservationSpec
from legion_sim2real.bridge import BridgeFactory

EXPERT = Rollout("drawer-close", 3, "iiwa7", "mocap", (3, 4), ObservationSpec(), "expert", 15, True)


def acting(bundle: PolicyBundle, sample: bool) -> ActingPolicy:
    return ActingPolicy(bundle.weights, bundle.embedding("reach"), sample)


def test_an_expert_does_what_it_says() -> None:
    shown = collect(EXPERT)
    rows = shown.transitions
    assert (shown.episodes, shown.successes) == (2, 2)
    np.testing.assert_array_equal(rows.action, rows.label)
    assert set(rows.task.tolist()) == {3}
    assert len(rows) < 2 * (MAX_STEPS - 15)
    assert not rows.done.any()


def test_the_next_observation_is_what_the_step_returned_even_at_an_episodes_end() -> None:
    rows = collect(EXPERT).transitions
    follows = (rows.next_observation[:-1] == rows.observation[1:]).all(axis=1)
    assert (~follows).sum() == 1, "only between the two episodes does the chain break"
    env = make_env("drawer-close")
    env.reset(seed=3)
    last = int(np.flatnonzero(~follows)[0])
    for action in rows.action[: last + 1]:
        observation, reward, *_ = env.step(action)
    np.testing.assert_array_equal(rows.next_observation[last], observation)
    assert rows.reward[last] == pytest.approx(reward)


def test_noise_changes_the_actions_but_not_what_the_expert_says() -> None:
    job = dataclasses.replace(EXPERT, task="reach", seeds=(3,), noise=Noise(probability=0.3))
    noisy, again = collect(job).transitions, collect(job).transitions
    differs = np.any(noisy.action != noisy.label, axis=1)
    assert 0.2 < differs.mean() < 1
    np.testing.assert_array_equal(noisy.action, again.action)


def test_across_a_gap_the_policy_sees_what_arrives_and_the_expert_the_truth() -> None:
    gap = dataclasses.replace(RealityGap.load(), camera_delay_s=0.0, message_loss=0.0, world_shift_m=0.0)
    gap = dataclasses.replace(gap, camera_rate_hz=50.0, object_noise_m=0.05, camera_shift_m=0.0, camera_turn_deg=0.0)
    job = dataclasses.replace(EXPERT, actuation="servo", seeds=(3,), bridge=BridgeFactory("mujoco_gap"), gap=gap)
    rows = collect(job).transitions
    assert rows.observation[:20, 3:6].std(axis=0).min() > 0.002, "noise is seen"
    env = make_env("drawer-close", actuation="servo", bridge=BridgeFactory("mujoco_gap"), gap=gap)
    env.reset(seed=3)
    for label in rows.label[:20]:
        np.testing.assert_allclose(expert_action("drawer-close", env.expert_observation()), label, atol=1e-6)
        env.step(label)
    assert np.array_equal(collect(job).transitions.observation, rows.observation)


def test_random_actions_fill_the_space_and_an_episode() -> None:
    rows = collect(dataclasses.replace(EXPERT, who="random", labelled=False, after_success=150, seeds=(5,))).transitions
    assert len(rows) == MAX_STEPS
    assert np.isnan(rows.label).all()
    assert rows.action.min() < -0.9
    assert rows.action.max() > 0.9


def test_the_policy_leads_and_the_expert_labels(random_bundle: PolicyBundle) -> None:
    job = dataclasses.replace(EXPERT, task="reach", seeds=(3,), who="policy", policy=acting(random_bundle, False))
    rows = collect(job).transitions
    policy = LegionPolicy(random_bundle)
    expected = policy.act(rows.observation[0], random_bundle.embedding("reach")).action
    np.testing.assert_allclose(rows.action[0], expected, atol=1e-6)
    assert np.any(rows.action != rows.label)


def test_exploration_has_the_spread_of_the_actors_other_half(random_bundle: PolicyBundle) -> None:
    torch = pytest.importorskip("torch")
    from legion_core.networks import PolicyNetwork

    weights, embedding = random_bundle.weights, random_bundle.embedding("reach")
    network = PolicyNetwork(weights["observation_mean"], weights["observation_scale"], len(embedding))
    network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()}, strict=False)
    observation = np.random.default_rng(0).normal(size=13).astype(np.float32)
    with torch.no_grad():
        x = network.normalise(torch.from_numpy(observation)[None])
        mu, _ = network.encoder(x, torch.from_numpy(embedding)[None])
        mean, log_std = network.actor(x, mu)
    actor, rng = _Actor(acting(random_bundle, True)), np.random.default_rng(1)
    drawn = np.arctanh(np.array([actor.act(observation, rng) for _ in range(4000)], np.float64).clip(-0.99999, 0.99999))
    np.testing.assert_allclose(np.median(drawn, axis=0), mean[0], atol=0.05 + 0.1 * float(log_std.exp().max()))
    np.testing.assert_allclose(drawn.std(axis=0), log_std.exp()[0], rtol=0.1, atol=0.02)
