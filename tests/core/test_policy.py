"""LegionPolicy: deterministic, its results belong to the caller, and bad vectors are named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legion_core.bundle import PolicyBundle
from legion_core.errors import SpaceError
from legion_core.policy import LegionPolicy

finite = st.floats(-1e6, 1e6, width=32)


@pytest.fixture(scope="module")
def policy(random_bundle: PolicyBundle) -> LegionPolicy:
    return LegionPolicy(random_bundle)


@given(observation=st.lists(finite, min_size=13, max_size=13))
@settings(max_examples=50)
def test_any_finite_observation_gives_a_valid_step(policy: LegionPolicy, observation: list[float]) -> None:
    step = policy.act(observation, policy.bundle.embedding("reach"))
    assert step.action.shape == (4,) and step.action.dtype == np.float32
    assert np.abs(step.action).max() <= 1
    assert step.latent.shape == (10,)
    assert step.responsibilities.sum() == pytest.approx(1)
    assert np.isfinite(step.log_likelihood)


def test_responsibilities_are_those_of_the_knowledge_space(policy: LegionPolicy) -> None:
    step = policy.act(np.linspace(-1, 1, 13), policy.bundle.embedding("door-open"))
    knowledge = policy.bundle.knowledge
    np.testing.assert_allclose(step.responsibilities, knowledge.responsibilities(step.latent), rtol=1e-9)
    assert step.log_likelihood == pytest.approx(float(knowledge.log_likelihood(step.latent)))


def test_familiar_is_what_the_manifest_says(random_bundle: PolicyBundle) -> None:
    embedding = random_bundle.embedding("push")
    likelihood = LegionPolicy(random_bundle).act(np.zeros(13), embedding).log_likelihood
    for offset, familiar in ((-1, True), (1, False)):
        manifest = dataclasses.replace(random_bundle.manifest, familiar_log_likelihood=likelihood + offset)
        policy = LegionPolicy(dataclasses.replace(random_bundle, manifest=manifest))
        assert policy.act(np.zeros(13), embedding).familiar is familiar


def test_deterministic_whatever_came_before(random_bundle: PolicyBundle) -> None:
    observation = np.linspace(0, 1, 13)
    first = LegionPolicy(random_bundle).act(observation, random_bundle.embedding("push"))
    busy = LegionPolicy(random_bundle)
    busy.act(-observation, random_bundle.embedding("reach"))
    again = busy.act(observation, random_bundle.embedding("push"))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_results_outlive_the_next_step(policy: LegionPolicy) -> None:
    embedding = policy.bundle.embedding("reach")
    step = policy.act(np.zeros(13), embedding)
    kept = [np.copy(part) for part in step]
    policy.act(np.ones(13), embedding)
    for now, before in zip(step, kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_an_embedding_changed_in_place_is_noticed(policy: LegionPolicy) -> None:
    embedding = policy.bundle.embedding("reach").copy()
    before = policy.act(np.zeros(13), embedding).action
    embedding[:] = policy.bundle.embedding("window-close")
    after = policy.act(np.zeros(13), embedding).action
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", [0, 12])
def test_a_number_that_is_not_finite_is_named(policy: LegionPolicy, field: int, value: float) -> None:
    observation = np.zeros(13)
    observation[field] = value
    with pytest.raises(SpaceError, match=policy.bundle.spec.fields[field]):
        policy.act(observation, policy.bundle.embedding("reach"))


@pytest.mark.parametrize("shape", [(12,), (14,), (1, 13), ()])
def test_a_wrong_observation_shape_is_refused(policy: LegionPolicy, shape: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError, match=r"observation has shape .*expected \(13,\)"):
        policy.act(np.zeros(shape), policy.bundle.embedding("reach"))


@pytest.mark.parametrize("embedding", [np.zeros(383), np.zeros((1, 384)), np.full(384, np.nan)])
def test_a_wrong_embedding_is_refused(policy: LegionPolicy, embedding: np.ndarray) -> None:
    with pytest.raises(SpaceError, match="embedding"):
        policy.act(np.zeros(13), embedding)
