"""The policy bundle: a folder that holds everything a frozen policy needs, checked to the last byte when loaded.

`manifest.json` says what it is and how it came to be; `weights.safetensors`, `knowledge.safetensors` and
`embeddings.safetensors` hold the numbers. There is no pickle. A bundle that loads is complete and fits together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from legion_core.config import from_mapping, require
from legion_core.errors import BundleError, LegionError, TaskError, unknown
from legion_core.inference import Architecture, weight_shapes
from legion_core.knowledge import KnowledgeSpace
from legion_core.layouts import Region
from legion_core.spaces import ACTION_FIELDS, Float32, ObservationSpec
from legion_core.tasks import Task

FORMAT = "legion-policy-bundle"
VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
KNOWLEDGE = "knowledge.safetensors"
EMBEDDINGS = "embeddings.safetensors"
TENSOR_FILES = (WEIGHTS, KNOWLEDGE, EMBEDDINGS)
MIXTURE = ("weights", "means", "variances")
REFUSED = "refused"
"""Name of the tensor that holds the embeddings of sentences which mean none of the tasks."""
DEFAULT_BUNDLE = Path(__file__).parent / "data" / "default_bundle"

T = TypeVar("T")
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class EmbeddingModel:
    """The sentence encoder whose embeddings the policy was trained with."""

    name: str
    size: int

    def __post_init__(self) -> None:
        require(self.size > 0, "size", self.size, "> 0")


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds."""

    observation: tuple[str, ...]
    embedding: EmbeddingModel
    tasks: tuple[Task, ...]
    components: tuple[str, ...]
    """The task for which each mixture component stands."""
    familiar_log_likelihood: float
    """The log-likelihood that all but one in a thousand training latents exceed."""
    refused: tuple[str, ...] = ()
    """Sentences that mean none of the tasks, although they may sound like one."""
    typical: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """An observation of each task as it is met, by which a sentence can be judged without a scene; may be empty."""
    goals: dict[str, Region] = field(default_factory=dict)
    """Where each task's goals lay in training; a task without one is observed as it is (`legion_core.layouts`)."""
    training: dict[str, Any] = field(default_factory=dict)
    """How the policy was trained."""
    success: dict[str, Any] = field(default_factory=dict)
    """What it scored on layouts that were never seen in training."""
    architecture: Architecture = field(default_factory=Architecture)
    action: tuple[str, ...] = ACTION_FIELDS
    sha256: dict[str, str] = field(default_factory=dict)
    """Digest of each tensor file; empty until the bundle is saved."""
    format: str = FORMAT
    version: int = VERSION

    def __post_init__(self) -> None:
        require(self.format == FORMAT, "format", self.format, FORMAT)
        require(self.version == VERSION, "version", self.version, str(VERSION))
        require(self.action == ACTION_FIELDS, "action", self.action, ", ".join(ACTION_FIELDS))
        names = [task.name for task in self.tasks]
        require(len(names) > 0, "tasks", names, "at least one task")
        require(len(set(names)) == len(names), "tasks", names, "each task once")
        require(set(self.components) <= set(names), "components", self.components, ", ".join(names))
        ObservationSpec(self.observation)
        require(set(self.typical) <= set(names), "typical", sorted(self.typical), ", ".join(names))
        require(set(self.goals) <= set(names), "goals", sorted(self.goals), ", ".join(names))
        for name, region in self.goals.items():
            ordered = all(low <= high for low, high in region)
            require(ordered, f"goals: {name}", region, "the ranges of x and of y, low end first")
        for name, values in self.typical.items():
            fits = len(values) == len(self.observation)
            require(fits, f"typical: {name}", values, f"{len(self.observation)} numbers, as the observation has")

    @property
    def spec(self) -> ObservationSpec:
        """The observation the policy wants."""
        return ObservationSpec(self.observation)

    def task(self, name: str) -> Task:
        """The task of that name. Raises TaskError, listing the names, if the policy does not know it."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise TaskError(unknown("task", name, (task.name for task in self.tasks)))

    def shapes(self, file: str) -> Shapes:
        """Name and shape of every tensor in one of TENSOR_FILES."""
        if file == WEIGHTS:
            return weight_shapes(self.architecture, len(self.observation), self.embedding.size)
        if file == KNOWLEDGE:
            count, latent = len(self.components), self.architecture.latent
            return {"weights": (count,), "means": (count, latent), "variances": (count, latent)}
        sentences = {_tensor_name(task.name): len(task.sentences) for task in self.tasks}
        return {name: (n, self.embedding.size) for name, n in (sentences | {REFUSED: len(self.refused)}).items()}


@dataclass(frozen=True)
class PolicyBundle:
    """A frozen policy in memory.

    `weights` are named as `weight_shapes` says, `embeddings` hold (n, E) vectors a task, in the order of
    `Task.sentences`, and `refused` (m, E) those of the manifest's refused sentences: unit vectors, unless imported.

    Raises:
        BundleError: tensors that are missing, do not fit the manifest or are not finite.
    """

    manifest: Manifest
    weights: dict[str, Float32]
    knowledge: KnowledgeSpace
    embeddings: dict[str, Float32]
    refused: Float32

    def __post_init__(self) -> None:
        for file, tensors in self._tensors().items():
            check_tensors(file, tensors, self.manifest.shapes(file))
        if np.any(self.weights["observation_scale"] <= 0):
            raise BundleError(f"{WEIGHTS}: observation_scale must be positive")

    @cached_property
    def spec(self) -> ObservationSpec:
        """The observation the policy wants."""
        return self.manifest.spec

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks the policy knows, in the order of the manifest."""
        return tuple(task.name for task in self.manifest.tasks)

    def embedding(self, task: str) -> Float32:
        """The embedding (E,) of the task's canonical description, which the policy is given.

        Raises:
            TaskError: the policy does not know that task.
        """
        embedding: Float32 = self.embeddings[self.manifest.task(task).name][0]
        return embedding

    @classmethod
    def load(cls, path: Path | str | None = None) -> PolicyBundle:
        """The bundle in the folder `path`, by default the one shipped with the package.

        Raises:
            BundleError: whatever is missing, broken or does not fit; the message names the file and what was expected.
        """
        folder = DEFAULT_BUNDLE if path is None else Path(path)
        if not folder.is_dir():
            raise BundleError(f"{folder}: no such folder; expected a policy bundle with {MANIFEST}")
        manifest = _load_manifest(folder / MANIFEST)
        tensors = {file: _load_tensors(folder / file, manifest) for file in TENSOR_FILES}
        knowledge, embeddings = tensors[KNOWLEDGE], tensors[EMBEDDINGS]
        return located(
            folder,
            lambda: cls(
                manifest,
                tensors[WEIGHTS],
                KnowledgeSpace(
                    **{name: knowledge[name].astype(np.float64) for name in MIXTURE}, tasks=manifest.components
                ),
                {task.name: embeddings[_tensor_name(task.name)] for task in manifest.tasks},
                embeddings[REFUSED],
            ),
        )

    def save(self, path: Path | str) -> None:
        """Write the bundle to the new folder `path`; it appears complete or not at all.

        Raises:
            BundleError: `path` exists, or cannot be written.
        """
        folder = Path(path)
        if folder.exists():
            raise BundleError(f"{folder} exists already; choose a folder that does not")
        files = {file: save_tensors(tensors) for file, tensors in self._tensors().items()}
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        manifest = dataclasses.asdict(dataclasses.replace(self.manifest, sha256=digests))
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                draft = Path(temporary) / folder.name
                draft.mkdir()
                for file, content in files.items():
                    (draft / file).write_bytes(content)
                (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
                shutil.move(draft, folder)
        except OSError as error:
            raise BundleError(f"cannot write {folder}: {error.strerror}") from error

    def _tensors(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """The tensors by file."""
        mixture = {name: getattr(self.knowledge, name) for name in MIXTURE}
        embeddings = {_tensor_name(name): array for name, array in self.embeddings.items()}
        return {
            WEIGHTS: dict(self.weights),
            KNOWLEDGE: {name: array.astype(np.float32) for name, array in mixture.items()},
            EMBEDDINGS: embeddings | {REFUSED: self.refused},
        }


def _tensor_name(task: str) -> str:
    return f"task.{task}"


def _load_manifest(path: Path) -> Manifest:
    try:
        data = json.loads(read_bytes(path))
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BundleError(f"{path}: expected a mapping with format {FORMAT!r}")
    if data.get("version") != VERSION:
        raise BundleError(f"{path}: bundle version {data.get('version')!r}; this program reads version {VERSION}")
    return located(path, lambda: from_mapping(Manifest, data, "manifest"))


def _load_tensors(path: Path, manifest: Manifest) -> dict[str, Float32]:
    content = read_bytes(path)
    digest, expected = hashlib.sha256(content).hexdigest(), manifest.sha256.get(path.name)
    if digest != expected:
        raise BundleError(f"{path}: sha256 is {digest}; {MANIFEST} expects {expected}")
    try:
        tensors: dict[str, Float32] = load_tensors(content)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: not a safetensors file of numbers that numpy knows ({error})") from error
    check_tensors(str(path), tensors, manifest.shapes(path.name))
    return tensors


def check_tensors(where: str, tensors: Mapping[str, npt.NDArray[Any]], shapes: Shapes) -> None:
    """Raise BundleError, naming the file `where` and the tensor, unless they are float32, finite and just these."""
    for name, shape in shapes.items():
        if name not in tensors:
            raise BundleError(f"{where}: tensor {name!r} is missing; expected shape {shape}")
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != np.float32:
            raise BundleError(f"{where}: {name} is {tensor.dtype} {tensor.shape}; expected float32 {shape}")
        if not np.isfinite(tensor).all():
            raise BundleError(f"{where}: {name} holds numbers that are not finite")
    for name in tensors:
        if name not in shapes:
            raise BundleError(f"{where}: " + unknown("tensor", name, shapes))


def read_bytes(path: Path) -> bytes:
    """The file's content; a BundleError that says why if it cannot be had."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error


def located(path: Path, build: Callable[[], T]) -> T:
    """What `build` returns; its errors become BundleErrors that name `path`."""
    try:
        return build()
    except LegionError as error:
        raise BundleError(f"{path}: {error}") from error
