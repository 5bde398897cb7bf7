"""From one clause to one of the policy's tasks, or to none: a policy must not act on a guess.

Two witnesses have to agree. The words (`lexicon`) tell opposites and negations apart, and the sentence embedding knows
phrasings that no list of words has. Where the words are certain a faint similarity is enough, where they do not tell
the similarity must be high, and what they rule out is refused however similar it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from legion_core.bundle import PolicyBundle
from legion_core.config import require
from legion_core.errors import SpaceError
from legion_core.lexicon import Reading, Rule
from legion_core.spaces import Float32

THRESHOLD = 0.60
"""Least cosine similarity with a known sentence, where there is no rule for the task's words."""
SUPPORTED = 0.25
"""The same where the words name the task and hold nothing strange."""
STRANGE = 0.15
"""What each strange word adds to either."""
MARGIN = 0.005
"""Least distance in similarity to what the sentence could mean instead, where its words do not name a task."""
SILENT = 0.10
"""What is added to the threshold where there is a rule and the words do not tell."""
SILENT_MARGIN = 0.03
"""Least distance there."""
OFFERED = 3


@dataclass(frozen=True)
class Candidate:
    """A task and the similarity of its nearest sentence."""

    task: str
    description: str
    score: float


@dataclass(frozen=True)
class Resolution:
    """What a clause means: `task`, or None if that is not clear, and the `nearest` tasks, best first."""

    task: str | None
    score: float
    nearest: tuple[Candidate, ...]
    certain: bool = False
    """Whether its words alone name the task."""

    def suggestion(self) -> str:
        """One line for an operator whose sentence was refused."""
        return "the nearest tasks are: " + "; ".join(f"{c.description!r} ({c.score:.2f})" for c in self.nearest)


class TaskResolver:
    """The task whose nearest known sentence is similar enough, and clearly more similar than any alternative.

    The alternatives are the other tasks and the refused sentences: near misses such as "open the drawer", which is
    close to "close the drawer" in the embedding space and yet means something the policy cannot do.

    Args:
        sentences: embeddings (n, E) of further sentences of each task, and under "" of further refused ones.
        rules: what the words of a clause must be to mean a task; tasks without a rule are known by sentences alone.
    """

    def __init__(
        self,
        bundle: PolicyBundle,
        threshold: float = THRESHOLD,
        margin: float = MARGIN,
        sentences: Mapping[str, Float32] | None = None,
        rules: Mapping[str, Rule] | None = None,
    ) -> None:
        require(0 <= threshold <= 1, "threshold", threshold, "0 to 1")
        require(0 <= margin <= 1, "margin", margin, "0 to 1")
        more = sentences or {}
        self._tasks = bundle.manifest.tasks
        self._rules = [(rules or {}).get(task.name) for task in self._tasks]
        self._threshold, self._margin = threshold, margin
        none = np.empty((0, bundle.manifest.embedding.size), np.float32)
        groups = [np.concatenate((bundle.embeddings[t.name], more.get(t.name, none))) for t in self._tasks]
        refused = np.concatenate((bundle.refused, more.get("", none)))
        groups += [refused] if len(refused) else []
        self._known: Float32 = np.concatenate(groups)
        self._starts = np.cumsum([0, *map(len, groups)])[:-1]

    def resolve(self, embedding: npt.ArrayLike, reading: Reading | None = None) -> Resolution:
        """The resolution of a clause given its embedding (E,) and what its words say.

        Raises:
            SpaceError: the embedding has another size or is not finite.
        """
        sentence = np.asarray(embedding, np.float32)
        if sentence.shape != self._known.shape[1:] or not np.isfinite(sentence).all():
            raise SpaceError(f"sentence embedding {sentence.shape}: expected {self._known.shape[1:]} finite numbers")
        best = np.maximum.reduceat(self._known @ sentence, self._starts)
        scores = best[: len(self._tasks)]
        order = np.argsort(-scores, kind="stable")
        nearest = tuple(
            Candidate(self._tasks[i].name, self._tasks[i].description, float(best[i])) for i in order[:OFFERED]
        )
        first, certain = self._choose(best, reading)
        if first is None:
            return Resolution(None, float(scores[order[0]]), nearest)
        return Resolution(self._tasks[first].name, float(best[first]), nearest, certain)

    def _choose(self, best: Float32, reading: Reading | None) -> tuple[int | None, bool]:
        """The index of the task that is meant, None if that is not clear, and whether the words name it."""
        verdicts = [reading.judge(rule) if reading and rule else None for rule in self._rules]
        certain = [i for i, verdict in enumerate(verdicts) if verdict]
        unruled = [i for i, rule in enumerate(self._rules) if rule is None]
        pool = [*certain, *unruled] if certain else [i for i, verdict in enumerate(verdicts) if verdict is not False]
        if not pool:
            return None, False
        first = max(pool, key=lambda i: best[i])
        sure, silent = first in certain, reading is not None and self._rules[first] is not None
        rivals = [best[i] for i in (pool if sure else range(len(best))) if i != first]
        least = SUPPORTED if sure else self._threshold + SILENT * silent
        margin = 0.0 if sure else max(self._margin, SILENT_MARGIN * silent)
        strange = STRANGE * len(reading.strange) if reading and self._rules[first] else 0.0
        clear = best[first] >= least + strange and best[first] - max(rivals, default=-1.0) >= margin
        return first if clear else None, sure
