"""Registration: the rotation, translation and scale between two sets of points, some of which may be wrong.

`align` is Umeyama's least squares solution. `agreeing` is least trimmed squares (Rousseeuw and Van Driessen's fast
algorithm): it looks for the half of the measurements that agree best, estimates their noise, and keeps all that this
explains. It knows nothing of points, so the same search serves the camera.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from legion_core.errors import CalibrationError
from legion_core.spaces import Vector

Mask = npt.NDArray[np.bool_]
Model = TypeVar("Model")
MIN_WIDTH_M = 0.01
"""Points whose root mean square distance from the line through them is less cannot fix a rotation."""
STARTS, SEED = 150, 0
"""Smallest subsets that the search starts from, drawn the same in every run."""
CANDIDATES = 5
"""The most promising of them are followed to the end."""
CERTAINTY = 0.999
"""Share of the good measurements that the estimated noise explains."""
FLOOR_M = 0.001
"""A measurement that fits as well as this is never rejected."""
MIRROR_FACTOR = 3.0
"""Points that fit their mirror image so many times better are mirrored."""


class Similarity(NamedTuple):
    """target = scale * rotation @ source + translation; `rotation` (3, 3), `translation` (3,) in metres."""

    rotation: Vector
    translation: Vector
    scale: float

    def apply(self, points: Vector) -> Vector:
        """Source points (..., 3) where the target's should be."""
        moved: Vector = self.scale * points @ self.rotation.T + self.translation
        return moved


class Registration(NamedTuple):
    """The similarity of those pairs of points that agree; `residuals` (n,) in target metres of all, `used` (n,)."""

    similarity: Similarity
    residuals: Vector
    used: Mask


def align(
    source: Vector, target: Vector, with_scale: bool = False, names: tuple[str, str] = ("source", "target")
) -> Similarity:
    """The least squares similarity of pairs of points (n, 3) each, never a mirror image.

    Raises:
        CalibrationError: fewer than three pairs, unequal shapes, a number that is not finite, or points so close
            together or so close to one line that they fix no rotation; `names` are those of the two sets.
    """
    source, target = np.asarray(source, float), np.asarray(target, float)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3 or len(source) < 3:
        raise CalibrationError(f"expected at least three pairs of points, got shapes {source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise CalibrationError("a calibration point is not finite")
    a, b = source - source.mean(0), target - target.mean(0)
    for name, points in zip(names, (a, b), strict=True):
        _check_spread(name, points)
    u, spread, vt = np.linalg.svd(b.T @ a)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(handed) @ vt
    scale = float(spread @ handed / np.square(a).sum()) if with_scale else 1.0
    return Similarity(rotation, target.mean(0) - scale * rotation @ source.mean(0), scale)


def _check_spread(name: str, centered: Vector) -> None:
    length, width, _ = np.linalg.svd(centered, compute_uv=False)[:3] / math.sqrt(len(centered))
    if width >= MIN_WIDTH_M:
        return
    if length < MIN_WIDTH_M:
        raise CalibrationError(f"the {name} points lie within {1e3 * length:.0f} mm; spread them over the workspace")
    raise CalibrationError(
        f"the {name} points lie on one line, to {1e3 * width:.1f} mm; spread them over the workspace"
    )


def register(
    source: Vector,
    target: Vector,
    with_scale: bool = False,
    tolerance_m: float = 0.02,
    names: tuple[str, str] = ("source", "target"),
) -> Registration:
    """The similarity of pairs of points (n, 3) each of which some are wrong: off by more than the others' noise.

    No pair that is off by more than `tolerance_m` (in the target's metres) is used.

    Raises:
        CalibrationError: as `align`, or no majority of the pairs agrees, or they agree with a mirror image only.
    """
    source, target = np.asarray(source, float), np.asarray(target, float)
    align(source, target, with_scale, names)
    found = _register(source, target, with_scale, tolerance_m, names)
    try:
        mirrored = _register(source * (1.0, 1.0, -1.0), target, with_scale, tolerance_m, names)
    except CalibrationError:
        mirrored = None
    if mirrored is not None and (found is None or MIRROR_FACTOR * _rms(mirrored) + FLOOR_M < _rms(found)):
        raise CalibrationError(
            f"the {names[1]} points are a mirror image of the {names[0]} points: "
            "one axis has the wrong sign, or two are swapped"
        )
    if found is None:
        raise CalibrationError(
            f"too few points agree: no {_majority(len(source), 3)} of the {len(source)} pairs fit one "
            f"{'similarity' if with_scale else 'rigid motion'} to {1e3 * tolerance_m:g} mm"
        )
    return found


def _register(
    source: Vector, target: Vector, with_scale: bool, tolerance_m: float, names: tuple[str, str]
) -> Registration | None:
    def fit(chosen: npt.NDArray[np.intp]) -> Similarity:
        return align(source[chosen], target[chosen], with_scale, names)

    def errors(similarity: Similarity) -> Vector:
        distances: Vector = np.linalg.norm(similarity.apply(source) - target, axis=1)
        return distances

    found = agreeing(len(source), 3, fit, errors, 3, 7 if with_scale else 6, tolerance_m)
    return None if found is None else Registration(found[0], errors(found[0]), found[1])


def _rms(registration: Registration) -> float:
    return float(np.sqrt(np.square(registration.residuals[registration.used]).mean()))


def agreeing(
    count: int,
    least: int,
    fit: Callable[[npt.NDArray[np.intp]], Model],
    errors: Callable[[Model], Vector],
    numbers: int,
    unknowns: int,
    tolerance_m: float,
) -> tuple[Model, Mask] | None:
    """The model of the measurements that agree, and which they are (n,); None where no majority does.

    `fit` makes a model of the measurements with the given indices, `least` of them at least, and raises
    CalibrationError where they are degenerate; `errors` are those (n,) of all measurements, in metres, each the norm of
    `numbers` independent ones. The model has that many `unknowns`.

    Raises:
        CalibrationError: those that agree are degenerate.
    """
    half = _majority(count, least)
    best: list[tuple[float, Model]] = []
    for start in _starts(count, least):
        model = _concentrate(start, half, fit, errors, 2)
        if model is not None:
            best.append((_trimmed(errors(model), half), model))
    best.sort(key=lambda scored: scored[0])
    finished = [
        model
        for _, first in best[:CANDIDATES]
        if (model := _concentrate(np.argsort(errors(first))[:half], half, fit, errors, 50)) is not None
    ]
    if not finished:
        return None
    model = min(finished, key=lambda candidate: _trimmed(errors(candidate), half))
    noise = _noise(_trimmed(errors(model), half), half, count, numbers, unknowns)
    used = np.zeros(count, bool)
    for _ in range(50):
        error = errors(model)
        explained = noise * math.sqrt(_quantile(CERTAINTY, numbers))
        limit = min(max(explained, FLOOR_M, float(np.sort(error)[half - 1])), tolerance_m)
        if (error <= limit).sum() < half:
            return None
        if ((error <= limit) == used).all():
            break
        used = error <= limit
        model = fit(np.flatnonzero(used))
        noise = _noise(float(np.square(errors(model)[used]).sum()), int(used.sum()), int(used.sum()), numbers, unknowns)
    return model, used


def _majority(count: int, least: int) -> int:
    return min((count + least + 1) // 2, count)


def _starts(count: int, least: int) -> Iterator[npt.NDArray[np.intp]]:
    """All smallest subsets, or a fixed draw of them where there are many."""
    if math.comb(count, least) <= STARTS:
        yield from map(np.array, combinations(range(count), least))
        return
    rng = np.random.default_rng(SEED)
    for _ in range(STARTS):
        yield rng.choice(count, least, replace=False)


def _concentrate(
    chosen: npt.NDArray[np.intp],
    half: int,
    fit: Callable[[npt.NDArray[np.intp]], Model],
    errors: Callable[[Model], Vector],
    steps: int,
) -> Model | None:
    """A model of the `half` that it fits best, reached from that of the `chosen`, as far as they are not degenerate."""
    model: Model | None = None
    for _ in range(steps + 1):
        try:
            model = fit(chosen)
        except CalibrationError:
            break
        nearest = np.sort(np.argsort(errors(model))[:half])
        if np.array_equal(nearest, chosen):
            break
        chosen = nearest
    return model


def _trimmed(errors: Vector, half: int) -> float:
    return float(np.square(np.sort(errors)[:half]).sum())


def _noise(squares: float, kept: int, count: int, numbers: int, unknowns: int) -> float:
    """Standard deviation (m) of one number of a measurement, from the sum of the `kept` smallest squares of `count`."""
    from scipy.special import gammainc  # takes 0.1 s, which no node should wait for

    variance = squares / max(numbers * kept - unknowns, 1)
    if kept < count:  # what is trimmed away is missing in the sum
        variance /= gammainc(numbers / 2 + 1, _quantile(kept / count, numbers) / 2) * count / kept
    return math.sqrt(variance)


def _quantile(share: float, numbers: int) -> float:
    """Of the chi-squared distribution with that many degrees of freedom."""
    from scipy.special import gammaincinv

    return 2.0 * float(gammaincinv(numbers / 2, share))
