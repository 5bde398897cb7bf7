"""The agent's update: losses fall, what is off stays off, the folded encoder is the plain one, state is everything."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from legion_core.errors import ConfigurationError  # noqa: E402
from legion_core.inference import Architecture  # noqa: E402
from legion_core.knowledge import KnowledgeSpace  # noqa: E402
from legion_core.learning.agent import LegionAgent  # noqa: E402
from legion_core.learning.replay import Transitions  # noqa: E402
from legion_core.learning.settings import LifelongSettings  # noqa: E402

FIELDS, EMBEDDING, TASKS, ROWS = 5, 16, 3, 96
SMALL = LifelongSettings(
    batch=ROWS,
    learning_rate=3e-3,
    encoder_interval=1,
    architecture=Architecture(latent=4, encoder_width=32, actor_width=24),
)


def language() -> np.ndarray:
    vectors = np.random.default_rng(3).standard_normal((TASKS, EMBEDDING)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def agent(settings: LifelongSettings = SMALL, **changes: Any) -> LegionAgent:
    mean, scale = np.full(FIELDS, 0.5, np.float32), np.full(FIELDS, 2.0, np.float32)
    return LegionAgent(dataclasses.replace(settings, **changes), mean, scale, language(), "cpu", 0)


def rows(labelled: bool = True, seed: int = 0) -> Transitions:
    rng = np.random.default_rng(seed)
    observation = rng.standard_normal((ROWS, FIELDS)).astype(np.float32)
    task = np.arange(ROWS) % TASKS
    wanted = np.tanh(observation[:, :4] * (task[:, None] - 1)).astype(np.float32)
    return Transitions(
        observation=observation,
        action=rng.uniform(-1, 1, (ROWS, 4)).astype(np.float32),
        reward=rng.standard_normal(ROWS).astype(np.float32),
        next_observation=(observation + 0.1).astype(np.float32),
        done=np.zeros(ROWS, np.float32),
        label=wanted if labelled else np.full((ROWS, 4), np.nan, np.float32),
        task=task,
        success=np.zeros(ROWS, np.float32),
    )


def knowledge() -> KnowledgeSpace:
    rng = np.random.default_rng(1)
    return KnowledgeSpace(np.full(2, 0.5), rng.standard_normal((2, 4)), rng.uniform(0.5, 2, (2, 4)), ("a", "b"))


def test_imitation_learns_what_differs_by_task_alone() -> None:
    learner, batch = agent(reinforcement_weight=0.0), rows()
    first = float(learner.update(batch)["imitation"])
    for _ in range(400):
        losses = learner.update(batch)
    assert float(losses["imitation"]) < 0.3 * first
    assert "critic" not in losses


def test_every_loss_of_reinforcement_is_there_and_finite() -> None:
    losses = agent().update(rows(labelled=False))
    assert set(losses) == {"critic", "actor", "temperature", "encoder_state", "encoder_context", "encoder_kl"}
    assert all(np.isfinite(float(loss)) for loss in losses.values())


def test_soft_actor_critic_finds_the_rewarded_action() -> None:
    """A bandit: the reward is the first component of the action, and every episode ends at once."""
    learner = agent(encoder_interval=10_000, target_entropy=-8.0)
    for step in range(600):
        batch = rows(labelled=False, seed=step)
        learner.update(dataclasses.replace(batch, reward=batch.action[:, 0].copy(), done=np.ones(ROWS, np.float32)))
    batch = rows()
    x = learner.policy.normalise(torch.from_numpy(batch.observation))
    mu, _ = learner.policy.encoder(x, torch.from_numpy(language()[batch.task]))
    mean, _ = learner.policy.actor(x, mu)
    assert float(torch.tanh(mean)[:, 0].mean().detach()) > 0.8


def test_parts_that_are_not_due_do_not_move() -> None:
    learner = agent(encoder_interval=3, reinforcement_interval=2)
    names = [set(learner.update(rows())) for _ in range(4)]
    assert ["encoder_kl" in found for found in names] == [True, False, False, True]
    assert ["critic" in found for found in names] == [True, False, True, False]
    assert all("imitation" in found for found in names)


def test_the_actors_loss_does_not_reach_the_encoder() -> None:
    learner = agent(encoder_interval=1000)
    learner.update(rows())
    before = [parameter.detach().clone() for parameter in learner.policy.encoder.parameters()]
    learner.update(rows())
    assert all(torch.equal(a, b) for a, b in zip(before, learner.policy.encoder.parameters(), strict=True))


def test_the_folded_encoder_is_the_plain_one() -> None:
    learner, batch = agent(), rows()
    mu, _ = learner.infer(batch)
    x = learner.policy.normalise(torch.from_numpy(batch.observation))
    expected, _ = learner.policy.encoder(x, torch.from_numpy(language()[batch.task]))
    np.testing.assert_allclose(mu, expected.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(("encoder_input", "blind_to"), [("context", "observation"), ("obs", "language")])
def test_an_encoder_does_not_see_what_it_is_not_to_see(encoder_input: str, blind_to: str) -> None:
    learner = agent(encoder_input=encoder_input)
    for _ in range(5):
        learner.update(rows())
    x = torch.randn(8, FIELDS)
    words = torch.randn(8, EMBEDDING)
    mu, _ = learner.policy.encoder(x, words)
    changed = (torch.randn(8, FIELDS), words) if blind_to == "observation" else (x, torch.randn(8, EMBEDDING))
    other, _ = learner.policy.encoder(*changed)
    torch.testing.assert_close(mu, other)


def test_the_divergence_is_that_of_torchs_normal_distributions() -> None:
    learner = agent()
    mu, log_var, z = (torch.randn(7, 4) for _ in range(3))
    q = torch.distributions.Normal(mu, (0.5 * log_var).exp())
    standard = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(-1).mean()
    torch.testing.assert_close(learner._divergence(mu, log_var, z), standard)
    space = knowledge()
    learner.know(space)
    expected = torch.zeros(7)
    for k in range(2):
        deviation = torch.from_numpy(np.sqrt(space.variances[k])).float()
        component = torch.distributions.Normal(torch.from_numpy(space.means[k]).float(), deviation)
        share = torch.from_numpy(space.responsibilities(z.numpy())[:, k]).float()
        expected += share * torch.distributions.kl_divergence(q, component).sum(-1)
    torch.testing.assert_close(learner._divergence(mu, log_var, z), expected.mean(), rtol=1e-4, atol=1e-4)


def test_a_gaussian_prior_stays_one() -> None:
    learner = agent(prior="gaussian")
    learner.know(knowledge())
    assert learner._prior is None


@pytest.mark.parametrize("temperature", ["task", "latent"])
def test_a_restored_agent_goes_on_bit_by_bit(temperature: str) -> None:
    first = agent(temperature=temperature, final_rate=0.1)
    first.begin_stage(20)
    for _ in range(5):
        first.update(rows())
    state = first.state()
    second = agent(temperature=temperature, final_rate=0.1)
    second.restore(state)
    for learner in (first, second):
        learner.seed(7)
        learner.know(knowledge())
        for _ in range(3):
            learner.update(rows())
    for name, array in first.state().items():
        np.testing.assert_array_equal(array, second.state()[name], err_msg=name)


def test_a_checkpoint_of_other_networks_is_refused() -> None:
    state = agent().state()
    wider = dataclasses.replace(SMALL, architecture=Architecture(latent=4, encoder_width=40, actor_width=24))
    with pytest.raises(ConfigurationError, match="other networks"):
        agent(wider).restore(state)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"device = 'cuda:77'.*here: cpu"):
        LegionAgent(SMALL, np.zeros(FIELDS, np.float32), np.ones(FIELDS, np.float32), language(), "cuda:77", 0)
    with pytest.raises(ConfigurationError, match="device = 'toaster'"):
        LegionAgent(SMALL, np.zeros(FIELDS, np.float32), np.ones(FIELDS, np.float32), language(), "toaster", 0)


def test_the_rate_falls_to_its_share_along_a_cosine() -> None:
    learner = agent(final_rate=0.1)
    learner.begin_stage(10)
    rates = []
    for _ in range(11):
        learner.update(rows())
        rates.append(learner._optimisers["actor"].param_groups[0]["lr"])
    assert rates[0] == pytest.approx(3e-3)
    assert rates[10] == pytest.approx(3e-4)
    assert rates == sorted(rates, reverse=True)
