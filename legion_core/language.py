"""From an operator's sentence to one of the policy's tasks, or to none: a policy must not act on a guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from legion_core.bundle import Manifest, PolicyBundle
from legion_core.config import require
from legion_core.embedding import plain
from legion_core.errors import SpaceError
from legion_core.spaces import Float32

THRESHOLD = 0.60
"""Least cosine similarity with a known sentence."""
MARGIN = 0.005
"""Least distance in similarity to what the sentence could mean instead."""
OFFERED = 3


@dataclass(frozen=True)
class Candidate:
    """A task and the similarity of its nearest sentence."""

    task: str
    description: str
    score: float


@dataclass(frozen=True)
class Resolution:
    """What a sentence means: `task`, or None if that is not clear, and the `nearest` tasks, best first."""

    task: str | None
    score: float
    nearest: tuple[Candidate, ...]

    def suggestion(self) -> str:
        """One line for an operator whose sentence was refused."""
        return "the nearest tasks are: " + "; ".join(f"{c.description!r} ({c.score:.2f})" for c in self.nearest)


class TaskResolver:
    """The task whose nearest known sentence is similar enough, and clearly more similar than any alternative.

    The alternatives are the other tasks and the bundle's refused sentences: near misses such as "open the drawer",
    which is close to "close the drawer" in the embedding space and yet means something the policy cannot do.
    """

    def __init__(self, bundle: PolicyBundle, threshold: float = THRESHOLD, margin: float = MARGIN) -> None:
        require(0 <= threshold <= 1, "threshold", threshold, "0 to 1")
        require(0 <= margin <= 1, "margin", margin, "0 to 1")
        self._tasks = bundle.manifest.tasks
        self._threshold, self._margin = threshold, margin
        groups = [*(bundle.embeddings[task.name] for task in self._tasks), bundle.refused]
        self._known: Float32 = np.concatenate([group for group in groups if len(group)])
        self._starts = np.cumsum([0, *(len(group) for group in groups if len(group))])[:-1]

    def resolve(self, embedding: npt.ArrayLike) -> Resolution:
        """The resolution of a sentence given its embedding (E,).

        Raises:
            SpaceError: the embedding has another size or is not finite.
        """
        sentence = np.asarray(embedding, np.float32)
        if sentence.shape != self._known.shape[1:] or not np.isfinite(sentence).all():
            raise SpaceError(f"sentence embedding {sentence.shape}: expected {self._known.shape[1:]} finite numbers")
        best = np.maximum.reduceat(self._known @ sentence, self._starts)
        order = np.argsort(-best[: len(self._tasks)], kind="stable")
        first = order[0]
        rival = float(np.delete(best, first).max(initial=-1.0))
        score = float(best[first])
        clear = score >= self._threshold and score - rival >= self._margin
        nearest = tuple(
            Candidate(self._tasks[i].name, self._tasks[i].description, float(best[i])) for i in order[:OFFERED]
        )
        return Resolution(self._tasks[first].name if clear else None, score, nearest)


def task_by_name(manifest: Manifest, sentence: str) -> str | None:
    """The task that is called so or has just this sentence; all there is without the policy's language model."""
    wanted = _spoken(sentence)
    for task in manifest.tasks:
        if wanted in map(_spoken, (task.name, *task.sentences)):
            return task.name
    return None


def _spoken(name: str) -> str:
    return plain(name.replace("-", " "))
