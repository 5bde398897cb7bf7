"""Where an object is now, from pictures that are noisy, late and sometimes wrong.

A thing that is handled does one of two things: it rests, or it moves with the hand; and where the hand is, is known
without noise or delay. So no velocity is estimated, which noise would spoil, but which of both holds (an interacting
multiple model filter: Blom and Bar-Shalom, IEEE Transactions on Automatic Control 33, 1988); and an object that moves
with the hand is carried along with it from the time of the picture to the present.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from legion_core.config import require
from legion_core.spaces import Vector

HISTORY_S = 1.0
"""For so long the way of the hand is remembered; an older picture is taken for one of that age."""
LEAST = 1e-6
"""Neither model is ever given up for good."""
MEMORY = (
    *("stamp_s", "outliers", "rests_likely", "moves_likely", "rests_variance", "moves_variance"),
    *(f"{model}_{axis}" for model in ("rests", "moves") for axis in "xyz"),
)
"""What an object filter remembers: time of its picture, outliers in a row; likelihood, variance (m2) and position (m)
of both models."""
AT_REST = np.array([1.0 - LEAST, LEAST])
WITH_HAND = np.array([0.0, 1.0])
"""Share of the hand's motion that the object takes in the two models: it rests, it moves with the hand."""


@dataclass(frozen=True)
class ObjectFilterConfig:
    """How far measured object positions are trusted. SI units.

    `noise_m` is their standard deviation on each axis; `drift_m` by how much an object may stray in a second from what
    its model says (a random walk); `reach_m` how far from the hand an object can be that moves with it; `switch_s`
    after what time without evidence either model is likely again. A measurement further than `outlier_m` from where
    the object should be is left out, unless `outliers` in a row say so.
    """

    noise_m: float
    drift_m: float
    reach_m: float
    switch_s: float
    outlier_m: float
    outliers: int

    def __post_init__(self) -> None:
        for key, low, high in (
            ("noise_m", 1e-5, 0.1),
            ("drift_m", 1e-4, 1.0),
            ("reach_m", 0.0, 1.0),
            ("switch_s", 0.01, 10.0),
            ("outlier_m", 0.005, 10.0),
            ("outliers", 1, 100),
        ):
            require(low <= getattr(self, key) <= high, key, getattr(self, key), f"{low} to {high}")


class HandTrack:
    """The way of the hand, and where it was at a time."""

    def __init__(self) -> None:
        self._stamps: list[float] = []
        self._positions: list[Vector] = []

    def add(self, stamp_s: float, position: Vector) -> None:
        """The hand was at `position` (3,); a stamp that is not newer than the last begins a new way."""
        if self._stamps and stamp_s <= self._stamps[-1]:
            if stamp_s == self._stamps[-1]:
                return
            self._stamps.clear()
            self._positions.clear()
        self._stamps.append(stamp_s)
        self._positions.append(position)
        while self._stamps[0] < stamp_s - HISTORY_S:
            del self._stamps[0], self._positions[0]

    def at(self, stamp_s: float) -> Vector:
        """Position (3,) at that time, between two known ones or the nearest."""
        stamps, positions = self._stamps, self._positions
        after = bisect_right(stamps, stamp_s)
        if after == 0 or after == len(stamps):
            return positions[min(after, len(stamps) - 1)]
        share = (stamp_s - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
        between: Vector = positions[after - 1] + share * (positions[after] - positions[after - 1])
        return between


class ToldTrack(HandTrack):
    """The way of the hand where only its `places` (3,) at some times (s) are known, and what is added."""

    def __init__(self, places: Mapping[float, Vector]) -> None:
        super().__init__()
        self._places = places

    def at(self, stamp_s: float) -> Vector:
        told = self._places.get(stamp_s)
        return super().at(stamp_s) if told is None else told


class ObjectFilter:
    """Follows one object."""

    def __init__(self, config: ObjectFilterConfig) -> None:
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget the object."""
        self._stamp_s = -math.inf
        self._outliers = 0
        self._likely, self._variances, self._positions = AT_REST, np.zeros(2), np.zeros((2, 3))

    @property
    def memory(self) -> Vector:
        """Everything that the next update depends on but the hand's way (12,), named by MEMORY."""
        return np.concatenate(((self._stamp_s, self._outliers), self._likely, self._variances, self._positions.ravel()))

    @memory.setter
    def memory(self, values: Vector) -> None:
        self._stamp_s, self._outliers = float(values[0]), int(values[1])
        self._likely, self._variances = values[2:4].copy(), values[4:6].copy()
        self._positions = values[6:].reshape(2, 3).copy()

    def update(self, measured: Vector, stamp_s: float, hand: HandTrack, now_s: float) -> Vector:
        """Where the object (3,) is at `now_s`, having been `measured` (3,) at `stamp_s`; the same stamp is no news."""
        if not np.isfinite(measured).all():
            return measured
        if not stamp_s - self._stamp_s <= HISTORY_S or stamp_s < self._stamp_s:
            self._begin(measured, stamp_s)
        elif stamp_s > self._stamp_s:
            self._learn(measured, stamp_s, hand)
        way = hand.at(now_s) - hand.at(self._stamp_s)
        position: Vector = self._likely @ (self._positions + WITH_HAND[:, None] * way)
        return position

    def _begin(self, measured: Vector, stamp_s: float) -> None:
        self._positions = np.stack((measured, measured))
        self._variances = np.full(2, self._config.noise_m**2)
        self._likely = AT_REST
        self._stamp_s = stamp_s
        self._outliers = 0

    def _learn(self, measured: Vector, stamp_s: float, hand: HandTrack) -> None:
        """One more measurement."""
        config, period = self._config, stamp_s - self._stamp_s
        here = hand.at(stamp_s)
        way = here - hand.at(self._stamp_s)
        self._mix(0.5 - 0.5 * math.exp(-2.0 * period / config.switch_s))
        self._positions += WITH_HAND[:, None] * way
        self._variances += config.drift_m**2 * period
        self._stamp_s = stamp_s
        error = measured - self._positions
        squared = (error * error).sum(1)
        if squared.min() > config.outlier_m**2:
            self._outliers += 1
            if self._outliers >= config.outliers:
                self._begin(measured, stamp_s)
            return
        self._outliers = 0
        total = self._variances + config.noise_m**2
        gain = self._variances / total
        self._positions += gain[:, None] * error
        self._variances *= 1.0 - gain
        evidence = -0.5 * squared / total - 1.5 * np.log(total)
        likely = np.maximum(self._likely * np.exp(evidence - evidence.max()), LEAST)
        self._likely = AT_REST if math.dist(here, measured) > config.reach_m else likely / likely.sum()

    def _mix(self, switched: float) -> None:
        """Either model may have given way to the other, with probability `switched`."""
        joint = np.array([[1.0 - switched, switched], [switched, 1.0 - switched]]) * self._likely[:, None]
        self._likely = joint.sum(0)
        weights = joint / self._likely
        mixed = weights.T @ self._positions
        spread = ((self._positions[:, None] - mixed[None]) ** 2).mean(2)
        self._variances = (weights * (self._variances[:, None] + spread)).sum(0)
        self._positions = mixed
