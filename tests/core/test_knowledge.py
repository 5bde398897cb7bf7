"""The mixture against scipy's densities, its table of tasks, and the numbers it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from legion_core.errors import BundleError
from legion_core.knowledge import KnowledgeSpace, majority_tasks

WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, -4.0]])
VARIANCES = np.array([[1.0, 0.5], [0.1, 2.0], [0.3, 0.3]])
TASKS = ("reach", "push", "reach")


@pytest.fixture
def space() -> KnowledgeSpace:
    return KnowledgeSpace(WEIGHTS, MEANS, VARIANCES, TASKS)


def test_densities_agree_with_scipy(space: KnowledgeSpace) -> None:
    latents = np.random.default_rng(0).normal(scale=3, size=(7, 5, 2))
    densities = np.stack(
        [
            w * multivariate_normal(m, np.diag(v)).pdf(latents)
            for w, m, v in zip(WEIGHTS, MEANS, VARIANCES, strict=True)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(space.log_joint(latents), np.log(densities), rtol=1e-9)
    np.testing.assert_allclose(space.log_likelihood(latents), np.log(densities.sum(-1)), rtol=1e-9)
    np.testing.assert_allclose(space.responsibilities(latents), densities / densities.sum(-1, keepdims=True), rtol=1e-7)


def test_responsibilities_far_away_stay_a_distribution(space: KnowledgeSpace) -> None:
    responsibilities = space.responsibilities([1e4, -1e4])
    assert np.isfinite(responsibilities).all()
    assert responsibilities.sum() == pytest.approx(1)


def test_an_unfamiliar_latent_is_less_likely(space: KnowledgeSpace) -> None:
    assert space.log_likelihood([20.0, 20.0]) < space.log_likelihood(MEANS).min() - 50


def test_purity_counts_components_of_the_own_task(space: KnowledgeSpace) -> None:
    assert space.purity(MEANS, ["reach", "push", "reach"]) == 1
    assert space.purity(MEANS, ["push", "push", "push"]) == pytest.approx(1 / 3)


def test_majority_names_each_component() -> None:
    assert majority_tasks(np.array([0, 0, 0, 1]), ["a", "b", "b", "a"], 2) == ("b", "a")
    with pytest.raises(ValueError, match="without latents"):
        majority_tasks(np.array([0]), ["a"], 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": WEIGHTS[:2]}, "3 components"),
        ({"means": MEANS[:2]}, "3 components"),
        ({"variances": VARIANCES[:, :1]}, "variances"),
        ({"variances": -VARIANCES}, "positive"),
        ({"means": MEANS * np.nan}, "finite"),
        ({"weights": WEIGHTS * 2}, "sum to 1"),
        ({"weights": np.array([1.5, -0.5, 0.0])}, "positive"),
    ],
)
def test_numbers_that_are_no_mixture_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    arguments = {"weights": WEIGHTS, "means": MEANS, "variances": VARIANCES} | change
    with pytest.raises(BundleError, match=message):
        KnowledgeSpace(tasks=TASKS, **arguments)
