"""The map of the latent space: a projection that keeps what it says of Gaussians, drawn as SVG."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.bundle import PolicyBundle
from legion_core.knowledge import KnowledgeSpace
from legion_ros.web.latent_map import DEVIATIONS, LETTER, LINE, SIZE, LatentMap, Plane

SVG = "{http://www.w3.org/2000/svg}"


def mixture(seed: int, count: int, size: int) -> KnowledgeSpace:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.0, count)
    return KnowledgeSpace(
        weights / weights.sum(),
        rng.normal(size=(count, size)),
        rng.uniform(0.1, 2.0, (count, size)),
        tuple(f"task<{i}>" for i in range(count)),
    )


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(2, 10))
def test_an_ellipse_is_the_shadow_of_its_gaussian(seed: int, count: int, size: int) -> None:
    knowledge = mixture(seed, count, size)
    plane, rng = Plane(knowledge), np.random.default_rng(seed)
    ellipse = plane.ellipse(knowledge.means[0], knowledge.variances[0])
    samples = knowledge.means[0] + rng.standard_normal((4000, size)) * np.sqrt(knowledge.variances[0])
    places = plane.project(samples) - ellipse.centre
    cos, sin = np.cos(ellipse.turn), np.sin(ellipse.turn)
    spread = (places @ np.array(((cos, -sin), (sin, cos)))).std(axis=0)
    assert DEVIATIONS * spread == pytest.approx(ellipse.half_axes, rel=0.1)


def test_the_plane_shows_most_of_the_spread() -> None:
    knowledge = mixture(3, 8, 6)
    means = knowledge.means - np.average(knowledge.means, axis=0, weights=knowledge.weights)
    singular = np.linalg.svd(np.sqrt(knowledge.weights)[:, None] * means, compute_uv=False)
    shown = np.sqrt(knowledge.weights)[:, None] * Plane(knowledge).project(knowledge.means)
    assert (shown**2).sum() == pytest.approx((singular[:2] ** 2).sum())


def test_the_drawing_names_every_component_and_shows_z() -> None:
    knowledge = PolicyBundle.load().knowledge
    drawn = LatentMap(knowledge)
    assert [e.text for e in ET.fromstring(drawn.svg()).iter(f"{SVG}text")] == list(knowledge.tasks)
    assert not list(ET.fromstring(drawn.svg()).iter(f"{SVG}circle")), "no z is known yet"
    drawn.put(knowledge.means[4])
    root = ET.fromstring(drawn.svg())
    circle, ellipse = next(root.iter(f"{SVG}circle")), list(root.iter(f"{SVG}ellipse"))[4]
    assert (circle.get("cx"), circle.get("cy")) == (ellipse.get("cx"), ellipse.get("cy"))
    assert all(0 < float(e.get(key, "nan")) < SIZE for e in root.iter(f"{SVG}ellipse") for key in ("cx", "cy"))
    drawn.clear()
    assert "circle" not in drawn.svg()


def test_labels_do_not_cover_each_other() -> None:
    knowledge = PolicyBundle.load().knowledge
    texts = list(ET.fromstring(LatentMap(knowledge).svg()).iter(f"{SVG}text"))
    places = [
        (float(text.get("x", "nan")), float(text.get("y", "nan")), LETTER * len(text.text or "")) for text in texts
    ]
    for (x, y, width), (other_x, other_y, other_width) in itertools.combinations(places, 2):
        assert abs(y - other_y) >= LINE - 0.2 or abs(x - other_x) >= (width + other_width) / 2 - 0.2
    assert all(width / 2 <= x <= SIZE - width / 2 for x, _, width in places)


def test_names_are_escaped_and_one_component_can_be_drawn() -> None:
    svg = LatentMap(mixture(0, 1, 2)).svg()
    assert next(ET.fromstring(svg).iter(f"{SVG}text")).text == "task<0>"
