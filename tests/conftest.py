"""Fixtures that several test folders share."""

from __future__ import annotations

import os

# before numpy and torch load: threads of several processes on few cores only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from legion_core.bundle import EmbeddingModel, Manifest, PolicyBundle
from legion_core.inference import Architecture, weight_shapes
from legion_core.knowledge import KnowledgeSpace
from legion_core.spaces import DEFAULT_FIELDS
from legion_core.tasks import all_tasks

EMBEDDING_SIZE = 384
REFUSED = ("open the drawer", "close the door")

settings.register_profile("any_machine", deadline=None)  # how long an example takes says nothing
settings.load_profile("any_machine")


@pytest.fixture(scope="session")
def random_bundle() -> PolicyBundle:
    """A well-formed bundle of random numbers: it has every part of a trained one and knows nothing."""
    rng = np.random.default_rng(0)
    tasks = all_tasks()
    names = tuple(task.name for task in tasks)
    architecture = Architecture()
    weights = {
        name: (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in weight_shapes(architecture, len(DEFAULT_FIELDS), EMBEDDING_SIZE).items()
    }
    weights["observation_scale"] = np.abs(weights["observation_scale"]) + np.float32(0.1)

    def unit_vectors(count: int) -> np.ndarray:
        vectors = rng.normal(size=(count, EMBEDDING_SIZE))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    knowledge = KnowledgeSpace(
        weights=np.full(len(names), 1 / len(names), np.float32),
        means=rng.normal(size=(len(names), architecture.latent)).astype(np.float32),
        variances=np.full((len(names), architecture.latent), 0.5),
        tasks=names,
    )
    manifest = Manifest(
        observation=DEFAULT_FIELDS,
        embedding=EmbeddingModel("random", EMBEDDING_SIZE),
        tasks=tasks,
        components=names,
        familiar_log_likelihood=-100.0,
        refused=REFUSED,
    )
    embeddings = {task.name: unit_vectors(len(task.sentences)) for task in tasks}
    return PolicyBundle(manifest, weights, knowledge, embeddings, unit_vectors(len(REFUSED)))
