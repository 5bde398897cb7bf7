"""The latent space as a picture: the mixture's components in the plane where their means lie widest, and where z is."""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legion_core.knowledge import KnowledgeSpace
from legion_core.spaces import Vector

SIZE = 400
"""Width and height in the units of the drawing."""
MARGIN = 0.18
"""The share of the drawing beside the means on every side."""
DEVIATIONS = 2.0
"""The half axes of an ellipse, in standard deviations."""
TRAIL = 40
LEAST_AXIS = 3.0
"""Components are narrow beside their distances: half axes are drawn no shorter."""
FONT, LETTER, LINE = 12, 6.0, 13.0
"""Size of the labels, mean width of a letter, and distance of two lines."""
COLOURS = ("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6")


@dataclass(frozen=True)
class Ellipse:
    """A component in the plane: `centre` (2,), `half_axes` (2,), and the `turn` (rad) of the first of them."""

    centre: Vector
    half_axes: Vector
    turn: float


class Plane:
    """The plane through the latent space that shows most of the spread of a mixture's means."""

    def __init__(self, knowledge: KnowledgeSpace) -> None:
        self._origin = np.average(knowledge.means, axis=0, weights=knowledge.weights)
        spread = np.sqrt(knowledge.weights)[:, None] * (knowledge.means - self._origin)
        axes = np.linalg.svd(np.vstack((spread, np.zeros_like(spread[:2]))), full_matrices=True)[2][:2]
        self._axes = axes

    def project(self, latents: Vector) -> Vector:
        """Latents (..., D) as places (..., 2) in the plane."""
        places: Vector = (latents - self._origin) @ self._axes.T
        return places

    def ellipse(self, mean: Vector, variance: Vector) -> Ellipse:
        """The shadow of a diagonal Gaussian, mean (D,) and variance (D,), out to DEVIATIONS."""
        values, vectors = np.linalg.eigh((self._axes * variance) @ self._axes.T)
        half_axes = DEVIATIONS * np.sqrt(np.maximum(values, 0.0))
        return Ellipse(self.project(mean), half_axes, float(np.arctan2(vectors[1, 0], vectors[0, 0])))


class LatentMap:
    """An SVG of a mixture whose components stand still while z moves."""

    def __init__(self, knowledge: KnowledgeSpace) -> None:
        self._plane = Plane(knowledge)
        centres = self._plane.project(knowledge.means)
        low, high = centres.min(axis=0), centres.max(axis=0)
        self._scale = (1 - 2 * MARGIN) * SIZE / max(float((high - low).max()), 1e-9)
        self._middle = (low + high) / 2
        self._trail: deque[Vector] = deque(maxlen=TRAIL)
        labels = _apart(self._pixels(centres), [LETTER * len(task) for task in knowledge.tasks])
        self._components = "".join(
            self._component(index, self._plane.ellipse(mean, variance), task, label)
            for index, (mean, variance, task, label) in enumerate(
                zip(knowledge.means, knowledge.variances, knowledge.tasks, labels, strict=True)
            )
        )

    def put(self, z: Vector) -> None:
        """Where z (D,) is now."""
        self._trail.append(self._pixels(self._plane.project(z)))

    def clear(self) -> None:
        """No z is known any more."""
        self._trail.clear()

    def svg(self) -> str:
        """The drawing."""
        frame = f'viewBox="0 0 {SIZE} {SIZE}" width="100%" role="img" aria-label="latent space"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>{self._components}{self._now()}</svg>'

    def _now(self) -> str:
        if not self._trail:
            return ""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in self._trail)
        x, y = self._trail[-1]
        path = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
        return f'{path}<circle class="z" cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#d00" stroke="#fff" stroke-width="2"/>'

    def _component(self, index: int, ellipse: Ellipse, task: str, place: Vector) -> str:
        (x, y), colour = self._pixels(ellipse.centre), COLOURS[index % len(COLOURS)]
        rx, ry = np.maximum(ellipse.half_axes * self._scale, LEAST_AXIS)
        turn = f"rotate({-np.degrees(ellipse.turn):.1f} {x:.1f} {y:.1f})"
        shape = f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" transform="{turn}"'
        style = f'fill="{colour}" fill-opacity="0.35" stroke="{colour}"'
        x, y = place
        label = f'<text x="{x:.1f}" y="{y + FONT / 3:.1f}" text-anchor="middle" font-size="{FONT}" fill="currentColor">'
        return f"{shape} {style}/>{label}{html.escape(task)}</text>"

    def _pixels(self, place: Vector) -> Vector:
        """Places in the plane (..., 2) in units of the drawing, whose y axis points down."""
        pixels: Vector = SIZE / 2 + self._scale * (place - self._middle) * (1.0, -1.0)
        return np.clip(pixels, -SIZE, 2 * SIZE)


def _apart(places: Vector, widths: Sequence[float]) -> Vector:
    """Middles (N, 2) of labels that would cover each other: the lower one is moved down, the outer ones into the
    drawing."""
    moved = places.copy()
    half = np.array(widths) / 2
    moved[:, 0] = np.clip(moved[:, 0], half, SIZE - half)
    done: list[int] = []
    for index in np.argsort(moved[:, 1]).tolist():
        for other in sorted(done, key=lambda each: moved[each, 1]):  # downwards: what was passed is never met again
            gap = np.abs(moved[index] - moved[other])
            if gap[0] < half[index] + half[other] and gap[1] < LINE:
                moved[index, 1] = moved[other, 1] + LINE
        done.append(index)
    return moved
