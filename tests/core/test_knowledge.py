"""The mixture against scipy's densities, its table of tasks, and the numbers it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
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


def test_samples_come_from_the_components() -> None:
    space = KnowledgeSpace(
        np.array([0.25, 0.75]), np.array([[0.0, 5.0], [10.0, -5.0]]), np.array([[1.0, 0.04], [0.25, 4.0]]), ("a", "b")
    )
    z, component = space.sample(np.random.default_rng(0), 20_000)
    assert np.bincount(component) / 20_000 == pytest.approx(space.weights, abs=0.02)
    for k in range(2):
        assert np.allclose(z[component == k].mean(axis=0), space.means[k], atol=0.05)
        assert np.allclose(z[component == k].var(axis=0), space.variances[k], rtol=0.05)
    assert np.array_equal(space.sample(np.random.default_rng(0), 20_000)[0], z)


def test_saved_and_loaded_exactly(tmp_path: Path) -> None:
    space = KnowledgeSpace(np.array([1 / 3, 2 / 3]), np.eye(2) / 7, np.ones((2, 2)) / 3, ("reach", "öffne"))
    file = tmp_path / "space.safetensors"
    space.save(file)
    again = KnowledgeSpace.load(file)
    assert again.tasks == space.tasks
    for name in ("weights", "means", "variances"):
        assert getattr(again, name).tobytes() == getattr(space, name).tobytes()


def test_a_file_that_is_no_knowledge_space(tmp_path: Path) -> None:
    file = tmp_path / "space.safetensors"
    with pytest.raises(BundleError, match=r"cannot read .*space\.safetensors"):
        KnowledgeSpace.load(file)
    file.write_bytes(b"not one")
    with pytest.raises(BundleError, match="holds no knowledge space"):
        KnowledgeSpace.load(file)
    file.write_bytes(save({"weights": np.ones(1)}))
    with pytest.raises(BundleError, match="holds no knowledge space"):
        KnowledgeSpace.load(file)
    with pytest.raises(BundleError, match="cannot write"):
        KnowledgeSpace(np.ones(1), np.ones((1, 2)), np.ones((1, 2)), ("reach",)).save(tmp_path / "none" / "space")
