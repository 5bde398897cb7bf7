"""The knowledge space: a frozen Dirichlet process mixture of diagonal Gaussians over the latents."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log, pi
from pathlib import Path

import numpy as np
import numpy.typing as npt

from legion_core.errors import BundleError
from legion_core.spaces import Vector


@dataclass(frozen=True)
class KnowledgeSpace:
    """A mixture with `weights` (K,), `means` (K, D), `variances` (K, D) and the task of each component.

    A log-density is one product with the natural parameters: log w_k N(z; m_k, v_k) = a_k [z^2, z] + c_k.

    Raises:
        BundleError: shapes that do not fit each other, or numbers that are no mixture.
    """

    weights: Vector
    means: Vector
    variances: Vector
    tasks: tuple[str, ...]
    natural: Vector = field(init=False, repr=False, compare=False)
    """The natural parameters a, shape (K, 2 D)."""
    offset: Vector = field(init=False, repr=False, compare=False)
    """The constants c, shape (K,)."""

    def __post_init__(self) -> None:
        for name in ("weights", "means", "variances"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        count = len(self.tasks)
        if self.weights.shape != (count,) or self.means.ndim != 2 or len(self.means) != count:
            raise BundleError(
                f"mixture of {count} components: expected weights ({count},) and means ({count}, D), "
                f"got {self.weights.shape} and {self.means.shape}"
            )
        if self.variances.shape != self.means.shape:
            raise BundleError(f"mixture: variances {self.variances.shape} do not fit means {self.means.shape}")
        if not (np.isfinite(self.means).all() and np.isfinite(self.variances).all() and np.all(self.variances > 0)):
            raise BundleError("mixture: means must be finite and variances finite and positive")
        if not (np.all(self.weights > 0) and abs(self.weights.sum() - 1) < 1e-3):
            raise BundleError(f"mixture: weights must be positive and sum to 1, got {self.weights}")
        precision = 1 / self.variances
        object.__setattr__(self, "natural", np.hstack((-0.5 * precision, self.means * precision)))
        offset = np.log(self.weights) - 0.5 * np.sum(
            self.means**2 * precision + np.log(self.variances) + log(2 * pi), axis=1
        )
        object.__setattr__(self, "offset", offset)

    @property
    def latent_size(self) -> int:
        """D, the size of a latent."""
        return int(self.means.shape[1])

    def log_joint(self, latents: npt.ArrayLike) -> Vector:
        """log(w_k N(z; m_k, v_k)) for latents of shape (..., D): shape (..., K)."""
        z = np.asarray(latents, np.float64)
        result: Vector = np.concatenate((z * z, z), axis=-1) @ self.natural.T + self.offset
        return result

    def log_likelihood(self, latents: npt.ArrayLike) -> Vector:
        """log p(z) for latents of shape (..., D): shape (...). Low values mean an unfamiliar situation."""
        result: Vector = np.logaddexp.reduce(self.log_joint(latents), axis=-1)
        return result

    def responsibilities(self, latents: npt.ArrayLike) -> Vector:
        """p(component | z) for latents of shape (..., D): shape (..., K), summing to 1 over the components."""
        joint = self.log_joint(latents)
        result: Vector = np.exp(joint - np.logaddexp.reduce(joint, axis=-1, keepdims=True))
        return result

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Vector, npt.NDArray[np.intp]]:
        """`count` latents (count, D) drawn from the mixture, and the component each came from (count,)."""
        component = rng.choice(len(self.weights), size=count, p=self.weights / self.weights.sum())
        noise = rng.standard_normal((count, self.latent_size))
        return self.means[component] + noise * np.sqrt(self.variances[component]), component

    def save(self, path: Path | str) -> None:
        """Write it to one safetensors file, exactly. Raises BundleError if the file cannot be written."""
        from safetensors.numpy import save

        tensors = {name: getattr(self, name) for name in ("weights", "means", "variances")}
        try:
            Path(path).write_bytes(save(tensors, {"tasks": json.dumps(self.tasks)}))
        except OSError as error:
            raise BundleError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path | str) -> KnowledgeSpace:
        """The inverse of `save`. Raises BundleError for a file that is missing, broken or not one of these."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "numpy") as file:
                tensors = {name: file.get_tensor(name) for name in ("weights", "means", "variances")}
                tasks = tuple(json.loads((file.metadata() or {})["tasks"]))
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror or error}") from error
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise BundleError(f"{path} holds no knowledge space: {error}") from error
        return cls(**tensors, tasks=tasks)

    def purity(self, latents: npt.ArrayLike, tasks: Sequence[str]) -> float:
        """The share of latents (N, D) whose most responsible component stands for their own task."""
        found = np.array(self.tasks)[self.responsibilities(latents).argmax(axis=-1)]
        return float(np.mean(found == np.asarray(tasks)))


def majority_tasks(assignment: npt.NDArray[np.intp], tasks: Sequence[str], count: int) -> tuple[str, ...]:
    """The most frequent task among the latents assigned to each of `count` components.

    Raises:
        ValueError: a component to which no latent is assigned.
    """
    votes = [Counter(np.asarray(tasks)[assignment == component].tolist()) for component in range(count)]
    if not all(votes):
        raise ValueError("a component without latents stands for no task")
    return tuple(str(vote.most_common(1)[0][0]) for vote in votes)
