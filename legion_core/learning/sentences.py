"""The training language: every sentence of every task of a run, embedded once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from legion_core.bundle import EmbeddingModel
from legion_core.config import load_yaml
from legion_core.embedding import InstructionEncoder
from legion_core.spaces import Float32
from legion_core.tasks import Task, all_tasks

REFUSED_FILE = Path(__file__).parents[1] / "data" / "refused.yaml"


class Sentences:
    """Embeddings by task: the description comes first, further phrasings follow."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        encoder = InstructionEncoder()
        self.model = EmbeddingModel(encoder.name, encoder.size)
        self.tasks = tuple(tasks)
        # among the fifty tasks are some whose sentences are refused by a policy for the ten
        known = set(tasks) <= set(all_tasks())
        self.refused_sentences: tuple[str, ...] = tuple(load_yaml(REFUSED_FILE)["sentences"]) if known else ()
        self.refused: Float32 = encoder.encode(self.refused_sentences)
        self.embeddings: dict[str, Float32] = {task.name: encoder.encode(task.sentences) for task in tasks}

    def canonical(self) -> Float32:
        """The embedding of each task's description, (T, E)."""
        return np.stack([group[0] for group in self.embeddings.values()])

    def draw(self, rng: np.random.Generator) -> Float32:
        """The embedding of one random sentence of each task, (T, E)."""
        return np.stack([group[rng.integers(len(group))] for group in self.embeddings.values()])
