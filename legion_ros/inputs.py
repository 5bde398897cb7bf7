"""Samples of several topics put together to one consistent set, by their stamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from legion_core.spaces import Vector
from legion_ros.stamps import NS_PER_S

BACKWARDS_NS = NS_PER_S // 2
"""A stamp that is older by more is one of a clock that was set back."""


def overtaken(stamp_ns: int, newest_ns: int | None) -> bool:
    """Whether a message has come after a newer one, `newest_ns`; None: it is the first."""
    return newest_ns is not None and 0 < newest_ns - stamp_ns <= BACKWARDS_NS


@dataclass(frozen=True)
class Sample:
    """A value and the stamp of its measurement."""

    stamp_ns: int
    value: Vector


class ExactInputs:
    """Sets whose samples all carry the same stamp: what a simulator publishes for one step. Each set comes out once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._samples: dict[str, Sample | None] = dict.fromkeys(names)
        self._never = set(self._samples)

    def put(self, name: str, sample: Sample) -> dict[str, Sample] | None:
        """Take one sample in; the complete set if this one completes it."""
        self._never.discard(name)
        self._samples[name] = sample
        found = {}
        for other, held in self._samples.items():
            if held is None or held.stamp_ns != sample.stamp_ns:
                return None
            found[other] = held
        self._samples = dict.fromkeys(self._samples)
        return found

    def problems(self) -> list[str]:
        """Inputs that never came, in words."""
        return [f"{name} has not come yet" for name in self._samples if name in self._never]


class LatestInputs:
    """Sets of the newest samples, one for each sample of the input that `drives`.

    Args:
        max_ages_s: how much older than the driving sample the others may be.
        period_s: least distance of two sets in stamps.
    """

    def __init__(self, drives: str, max_ages_s: Mapping[str, float], period_s: float) -> None:
        self._drives = drives
        self._max_ages_s = dict(max_ages_s)
        # a driver's stamps jitter: a little less than the period must count as one
        self._least_ns = round(0.9 * period_s * NS_PER_S)
        self._samples: dict[str, Sample] = {}
        self._last_ns: int | None = None
        self._problems: list[str] = []

    def put(self, name: str, sample: Sample) -> dict[str, Sample] | None:
        """Take one sample in; the set if this one drives and the others are there and fresh."""
        held = self._samples.get(name)
        if held is not None and overtaken(sample.stamp_ns, held.stamp_ns):
            return None
        self._samples[name] = sample
        if name != self._drives or self._too_soon(sample.stamp_ns):
            return None
        self._problems = [text for text in (self._check(other, sample.stamp_ns) for other in self._max_ages_s) if text]
        if self._problems:
            return None
        self._last_ns = sample.stamp_ns
        return dict(self._samples)

    def problems(self) -> list[str]:
        """Inputs that are absent or too old, in words."""
        return self._problems

    def _too_soon(self, stamp_ns: int) -> bool:
        return self._last_ns is not None and 0 <= stamp_ns - self._last_ns < self._least_ns

    def _check(self, name: str, now_ns: int) -> str:
        sample, allowed = self._samples.get(name), self._max_ages_s[name]
        if sample is None:
            return f"{name} has not come yet"
        age_s = (now_ns - sample.stamp_ns) / NS_PER_S
        return f"{name} is more than {allowed:g} s old" if age_s > allowed else ""
