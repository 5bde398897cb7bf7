"""What every mixture engine offers: settings, result, and the naming of components after tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from legion_core.config import require
from legion_core.errors import MixtureError
from legion_core.knowledge import KnowledgeSpace, majority_tasks
from legion_core.mixture.model import Posterior
from legion_core.spaces import Vector

Array = npt.NDArray[Any]
Assignment = npt.NDArray[np.intp]
MoveKind = Literal["birth", "merge", "delete"]


@dataclass(frozen=True)
class MixtureSettings:
    """The prior and the moves of the mixture; the defaults are LEGION's published configuration.

    Raises:
        ConfigurationError: a value out of range.
    """

    concentration: float = 5.0
    """gamma0 of the Dirichlet process: the higher, the more components are expected."""
    scale: float = 1e-5
    """sF: the prior's expected variance in each dimension, in squared units of the latent."""
    batches: int = 5
    """Parts into which the latents are split for memoized inference."""
    laps: int = 2
    """Passes of bnpy over all batches in a fit; the own engine stops by itself when nothing changes any more."""
    fresh: int = 10
    """Components that a birth may propose at once."""
    minimum_atoms: int = 10
    """Latents that a new component must explain; more than half of a task's latents keep it whole."""
    reactivation: float = 0.03
    """Relative change of a component's size after which a refused birth is tried again."""

    def __post_init__(self) -> None:
        for name in ("concentration", "scale"):
            require(0 < getattr(self, name) < np.inf, name, getattr(self, name), "> 0")
        for name, least in (("batches", 1), ("laps", 1), ("fresh", 2), ("minimum_atoms", 1)):
            require(getattr(self, name) >= least, name, getattr(self, name), f">= {least}")
        require(0 <= self.reactivation < np.inf, "reactivation", self.reactivation, ">= 0")


@dataclass(frozen=True)
class Move:
    """One accepted change of the number of components."""

    kind: MoveKind
    lap: float
    """Passes over the latents until then, in this fit."""
    components: int
    """How many there are afterwards."""


@dataclass(frozen=True)
class MixtureFit:
    """A fitted mixture, the biggest component first: `weights` (K,), `means` and `variances` (K, D)."""

    engine: str
    weights: Vector
    means: Vector
    variances: Vector
    assignment: Assignment
    """The component that explains each latent best (N,)."""
    elbo: float
    """The evidence bound, log p(latents) at least; the same quantity for every engine."""
    history: tuple[Move, ...]
    """The births, merges and deletes of this fit, in their order."""

    @property
    def components(self) -> int:
        """K, the number of components."""
        return len(self.weights)

    def moves(self, kind: MoveKind) -> int:
        """How many moves of that kind this fit made."""
        return sum(move.kind == kind for move in self.history)


class MixtureEngine(Protocol):
    """Fits the mixture to one set of latents after another, each time starting from the last result."""

    def fit(self, latents: npt.ArrayLike) -> MixtureFit:
        """The mixture of latents (N, D): from one component at first, later from the last fit.

        Raises:
            MixtureError: latents of another shape, not finite, or too few.
        """

    def state(self) -> dict[str, Array]:
        """What the next fit starts from, as plain arrays."""

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from a `state()`: the next fit is then the same, bit by bit.

        Raises:
            MixtureError: arrays that are missing or do not fit each other.
        """


class WarmStart:
    """What an engine carries from one fit to the next: the last posterior, and how many fits there were."""

    def __init__(self) -> None:
        self.fits = 0
        self.posterior: Posterior | None = None

    def advance(self, posterior: Posterior) -> None:
        """Take note of a fit's result."""
        self.fits += 1
        self.posterior = posterior

    def arrays(self) -> dict[str, Array]:
        """All of it as arrays, copied."""
        factors = self.posterior.arrays() if self.posterior else {}
        return {"fits": np.array(self.fits), **{name: value.copy() for name, value in factors.items()}}

    @classmethod
    def from_arrays(cls, state: Mapping[str, Array]) -> WarmStart:
        """The inverse of `arrays`. Raises MixtureError for arrays that are missing or do not fit each other."""
        result = cls()
        names = tuple(Posterior.__dataclass_fields__)
        wanted = {"fits"} if set(state) == {"fits"} else {"fits", *names}
        if set(state) != wanted:
            raise MixtureError(f"mixture state: expected {', '.join(sorted(wanted))}, got {', '.join(sorted(state))}")
        result.fits = int(state["fits"])
        if len(wanted) > 1:
            factors = {name: np.array(state[name], np.float64) for name in names}
            shapes = {name: value.shape for name, value in factors.items()}
            mean = shapes["mean"]
            if len(mean) != 2 or shapes["beta"] != mean or any(shapes[n] != mean[:1] for n in names[:4]):
                raise MixtureError(f"mixture state: shapes do not fit each other: {shapes}")
            result.posterior = Posterior(**factors)
        return result


def checked_latents(latents: npt.ArrayLike, settings: MixtureSettings, warm: WarmStart) -> Vector:
    """Latents as float64 (N, D).

    Raises:
        MixtureError: another shape, too few, not finite, or of another size than in the last fit.
    """
    try:
        z = np.array(latents, np.float64)
    except (TypeError, ValueError) as error:
        raise MixtureError(f"latents must be numbers: {error}") from error
    least = max(settings.batches, settings.minimum_atoms)
    if z.ndim != 2 or z.shape[1] == 0:
        raise MixtureError(f"latents must have shape (N, D), got {z.shape}")
    if len(z) < least:
        raise MixtureError(f"a mixture needs at least {least} latents, got {len(z)}")
    if not np.isfinite(z).all():
        raise MixtureError(
            f"latents must be finite; {np.count_nonzero(~np.isfinite(z).all(axis=1))} of {len(z)} are not"
        )
    if warm.posterior is not None and warm.posterior.mean.shape[1] != z.shape[1]:
        raise MixtureError(f"latents of size {z.shape[1]} after a fit with size {warm.posterior.mean.shape[1]}")
    return z


def name_components(fit: MixtureFit, tasks: Sequence[str]) -> KnowledgeSpace:
    """The fitted mixture with each component named after the task of most of its latents; `tasks`: one a latent.

    A component that explains no latent best is left out: it stands for no task. The numbers are rounded to the
    precision in which a bundle stores them.

    Raises:
        MixtureError: not one task for each latent.
    """
    if len(tasks) != len(fit.assignment):
        raise MixtureError(f"{len(fit.assignment)} latents need as many task names, got {len(tasks)}")
    used, assignment = np.unique(fit.assignment, return_inverse=True)
    names = majority_tasks(assignment.reshape(-1), tasks, len(used))
    weights = fit.weights[used] / fit.weights[used].sum()
    return KnowledgeSpace(
        weights.astype(np.float32), fit.means[used].astype(np.float32), fit.variances[used].astype(np.float32), names
    )


def purity(assignment: Assignment, tasks: Sequence[str]) -> float:
    """The share of latents whose component stands, by majority, for their own task; 1 when no component mixes tasks."""
    if len(assignment) == 0 or len(assignment) != len(tasks):
        raise MixtureError(f"purity of {len(assignment)} assignments with {len(tasks)} task names")
    _, component = np.unique(np.asarray(assignment), return_inverse=True)
    _, task = np.unique(np.asarray(tasks), return_inverse=True)
    table = np.zeros((component.max() + 1, task.max() + 1), np.int64)
    np.add.at(table, (component.reshape(-1), task.reshape(-1)), 1)
    return float(table.max(axis=1).sum() / len(assignment))
