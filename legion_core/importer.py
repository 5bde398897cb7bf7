"""A policy that LEGION's authors published, as a policy bundle, number for number."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from statistics import mode

import numpy as np
import numpy.typing as npt

from legion_core.bundle import EmbeddingModel, Manifest, PolicyBundle, check_tensors, located, read_bytes
from legion_core.errors import BundleError
from legion_core.inference import Architecture, weight_shapes
from legion_core.knowledge import KnowledgeSpace, majority_tasks
from legion_core.published import PublishedFiles, listed, load_embeddings, load_mixture, load_state_dict, stem
from legion_core.spaces import LEGION_FIELDS, Float32, Vector
from legion_core.tasks import Task, fifty_tasks

EMBEDDING_MODEL = "LEGION's published RoBERTa"
TABLE = "pretrained_embedding.weight"
DECODERS = ("decoder_context.", "decoder_state.")
"""Parts of the encoder's file that only training needs."""
AGREEMENT = 1e-6
"""Greatest difference between a task's embedding in the JSON file and in the tensor."""
UNFAMILIAR_SHARE = 0.001
"""Share of the published latents that are less likely than what counts as familiar."""


def import_published(files: PublishedFiles) -> PolicyBundle:
    """The published policy: LEGION's twelve observation fields as they are (mean 0, scale 1), the mean of z.

    Layer widths and the sizes of latent and embedding are those of the tensors. The decoders are left behind.

    Raises:
        BundleError: files that cannot be read or would run code; tensors that are missing, misshapen, unknown, not
            float32 or not finite; files that do not fit each other. The message names file and tensor.
    """
    tasks, table = _tasks(files)
    size = table.shape[1]
    architecture, weights = _weights(files, size)
    knowledge, familiar = _knowledge(files.latents, tasks, architecture.latent)
    manifest = Manifest(
        observation=LEGION_FIELDS,
        embedding=EmbeddingModel(EMBEDDING_MODEL, size),
        tasks=tasks,
        components=knowledge.tasks,
        familiar_log_likelihood=familiar,
        training={"imported": {f.name: _provenance(getattr(files, f.name)) for f in fields(files)}},
        architecture=architecture,
    )
    # There is one published vector a task, whichever of its sentences names it.
    embeddings = {task.name: np.tile(table[i], (len(task.sentences), 1)) for i, task in enumerate(tasks)}
    return PolicyBundle(manifest, weights, knowledge, embeddings, np.empty((0, size), np.float32))


def _tasks(files: PublishedFiles) -> tuple[tuple[Task, ...], Float32]:
    """Our tasks in the order of the published table, named by their own and their published names; the table (T, E)."""
    names, vectors = load_embeddings(files.embeddings)
    ours = {stem(task.metaworld): task for task in fifty_tasks()}
    for i, name in enumerate(names):
        if stem(name) not in ours:
            raise BundleError(f"{files.embeddings}: unknown task {name!r}; expected Meta-World's names, as in reach-v1")
        if stem(name) in map(stem, names[:i]):
            raise BundleError(f"{files.embeddings}: {name} is there in two versions")
    tensors = load_state_dict(files.task_encoder)
    check_tensors(str(files.task_encoder), tensors, {TABLE: vectors.shape})
    ordered = [names[i] for i in _matched(files, tensors[TABLE], names, vectors)]
    return tuple(replace(task, phrasings=(task.name, n)) for n in ordered for task in (ours[stem(n)],)), tensors[TABLE]


def _matched(files: PublishedFiles, table: Float32, names: list[str], vectors: Float32) -> list[int]:
    """Which of the JSON's `vectors` (T, E) each row of the `table` (T, E) is."""
    distance = np.abs(table[:, None] - vectors).max(axis=-1)
    nearest: list[int] = distance.argmin(axis=1).tolist()
    for row, column in enumerate(nearest):
        if distance[row, column] > AGREEMENT:
            raise BundleError(
                f"{files.task_encoder}: row {row} of {TABLE} is no task's embedding in {files.embeddings}; "
                f"it differs from the nearest, {names[column]}, by {distance[row, column]:.3g}"
            )
    missing = [name for i, name in enumerate(names) if i not in nearest]
    if missing:
        where = f"{files.embeddings}: {', '.join(missing)}"
        raise BundleError(f"{where}: no row of {TABLE} in {files.task_encoder} is that embedding")
    return nearest


def _weights(files: PublishedFiles, embedding: int) -> tuple[Architecture, dict[str, Float32]]:
    """The networks' sizes and a bundle's weights."""
    size = len(LEGION_FIELDS)
    encoder = {name: t for name, t in load_state_dict(files.encoder).items() if not name.startswith(DECODERS)}
    actor = load_state_dict(files.actor)
    architecture = Architecture(
        latent=_rows(files.encoder, encoder, "mu_latent.", "log_var_latent."),
        encoder_width=_rows(files.encoder, encoder, "trunk."),
        actor_width=_rows(files.actor, actor, "model."),
    )
    shapes = weight_shapes(architecture, size, embedding)
    weights = {"observation_mean": np.zeros(size, np.float32), "observation_scale": np.ones(size, np.float32)}
    for path, tensors, part in ((files.encoder, encoder, "encoder."), (files.actor, actor, "actor.")):
        expected = {name.removeprefix(part): shape for name, shape in shapes.items() if name.startswith(part)}
        check_tensors(str(path), tensors, expected)
        weights |= {part + name: tensor for name, tensor in tensors.items()}
    return architecture, weights


def _rows(path: Path, tensors: Mapping[str, Float32], *parts: str) -> int:
    """How many rows most tensors of these parts have, so that a misshapen one is found out by the others."""
    rows = [len(tensor) for name, tensor in tensors.items() if name.startswith(parts) and tensor.ndim and tensor.size]
    if not rows:
        raise BundleError(f"{path}: lacks {' and '.join(part + '*' for part in parts)}; it holds {listed(tensors)}")
    return mode(rows)


def _knowledge(path: Path, tasks: tuple[Task, ...], latent: int) -> tuple[KnowledgeSpace, float]:
    """The published mixture, its components named after their latents' tasks, and what counts as familiar."""
    arrays = load_mixture(path, latent)
    ours = {stem(task.metaworld): task.name for task in tasks}
    environments: list[str] = arrays["env_name"].tolist()
    for name in environments:
        if stem(name) not in ours:
            raise BundleError(
                f"{path}: env_name {name!r} is none of the tasks that have an embedding: {', '.join(ours)}"
            )
    _, first, component, counts = np.unique(
        arrays["cluster_label"], return_index=True, return_inverse=True, return_counts=True
    )
    for name in ("cluster_mu", "cluster_var"):
        if not np.array_equal(arrays[name], arrays[name][first][component]):
            raise BundleError(f"{path}: {name} differs among latents of one cluster_label")
    owners = majority_tasks(component, [ours[stem(name)] for name in environments], len(first))
    shares, means, variances = map(
        _rounded, (counts / counts.sum(), arrays["cluster_mu"][first], arrays["cluster_var"][first])
    )
    knowledge = located(path, lambda: KnowledgeSpace(shares, means, variances, owners))
    return knowledge, float(np.quantile(knowledge.log_likelihood(arrays["z"]), UNFAMILIAR_SHARE))


def _rounded(values: npt.ArrayLike) -> Vector:
    """The numbers in the precision in which a bundle stores them."""
    return np.asarray(values, np.float32).astype(np.float64)


def _provenance(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(read_bytes(path)).hexdigest()}
