"""Latents in pictures: sampled evenly, laid out repeatably, with ellipses where the components are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_run import write_latents

from legion_core.errors import RunError
from legion_core.knowledge import KnowledgeSpace
from legion_core.report import latents
from legion_core.report.latents import Latents, load_latents
from legion_core.report.style import TaskStyle

TASKS = ("reach", "push", "door-open")
STYLE = TaskStyle(TASKS)


@pytest.fixture
def some() -> Latents:
    """Three far-apart clusters of 40, 40 and 20 latents, and their mixture."""
    rng = np.random.default_rng(3)
    task = np.repeat([0, 1, 2], [40, 40, 20])
    centres = 20.0 * np.eye(3, 10)
    values = centres[task] + 0.2 * rng.normal(size=(100, 10))
    knowledge = KnowledgeSpace(np.array([0.4, 0.4, 0.2]), centres, np.full((3, 10), 0.04), TASKS)
    return Latents(2, values, tuple(TASKS[i] for i in task), task, knowledge)


def test_a_sample_has_as_many_of_each_task(some: Latents) -> None:
    sample = some.sample(30)
    assert [sample.tasks.count(task) for task in TASKS] == [10, 10, 10]
    rows = {tuple(row) for row in some.values}
    assert all(tuple(row) in rows for row in sample.values)
    np.testing.assert_array_equal(sample.values, some.sample(30).values)
    assert len(some.sample(1000).tasks) == 100


def test_tsne_keeps_clusters_together_and_repeats(some: Latents) -> None:
    places = latents.tsne(some.values)
    np.testing.assert_array_equal(places, latents.tsne(some.values))
    centres = np.array([places[some.components == k].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(nearest, some.components)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_tsne_of_very_few(some: Latents, count: int) -> None:
    assert latents.tsne(some.values[:count]).shape == (count, 2)


def test_a_component_belongs_to_the_task_of_most_of_its_latents(some: Latents) -> None:
    merged = Latents(0, some.values, some.tasks, np.where(some.components == 2, 1, some.components))
    assert latents.component_owners(merged) == {0: "reach", 1: "push"}


def test_principal_plane_has_the_most_variance(some: Latents) -> None:
    centre, plane = latents.principal_plane(some.values)
    np.testing.assert_allclose(plane.T @ plane, np.eye(2), atol=1e-12)
    inside = ((some.values - centre) @ plane).var(axis=0).sum()
    assert inside > 0.95 * some.values.var(axis=0).sum()


def test_scale_is_the_deviation_within_components(some: Latents) -> None:
    centred = some.values.copy()
    for component in range(3):
        inside = some.components == component
        centred[inside] -= centred[inside].mean(axis=0)
    np.testing.assert_allclose(some.scale, centred.std(axis=0))
    flat = Latents(0, np.ones((4, 2)), ("reach",) * 4, np.zeros(4, int))
    np.testing.assert_array_equal(flat.scale, [1, 1])


def test_ellipses_lie_at_the_components(some: Latents) -> None:
    (axes,) = latents.mixtures([some], STYLE).axes
    centre, plane = latents.principal_plane(some.values / some.scale)
    assert some.knowledge is not None
    expected = (some.knowledge.means / some.scale - centre) @ plane
    np.testing.assert_allclose([ellipse.center for ellipse in axes.patches], expected)
    # the components are round with the deviation that the latents have: two deviations to each side
    for ellipse in axes.patches:
        assert (ellipse.width, ellipse.height) == pytest.approx((4, 4), rel=0.15)


def test_few_of_many_stages_are_shown_with_first_and_last(some: Latents) -> None:
    stages = [Latents(i, some.values, some.tasks, some.components) for i in range(50)]
    shown = [each.stage for each in latents.chosen(stages)]
    assert (shown[0], shown[-1], len(shown)) == (0, 49, latents.MOST_STAGES)
    assert [each.stage for each in latents.chosen(stages[:3])] == [0, 1, 2]


def test_latents_of_a_stage_are_read(tmp_path: Path) -> None:
    write_latents(tmp_path / "00-reach", 0, TASKS, np.random.default_rng(0))
    read = load_latents(tmp_path / "00-reach" / "latents.npz")
    assert read.values.shape == (60, 10)
    assert (read.stage, set(read.tasks)) == (0, set(TASKS))


def test_broken_latents_are_named(tmp_path: Path) -> None:
    file = tmp_path / "latents.npz"
    with pytest.raises(RunError, match=r"latents\.npz"):
        load_latents(file)
    file.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(RunError, match=r"latents\.npz"):
        load_latents(file)
    np.savez(file, z=np.zeros((3, 2)), task=[0, 1, 7], assignment=[0, 0, 0], names=["a"], stage=0)
    with pytest.raises(RunError, match="of 1 tasks"):
        load_latents(file)
