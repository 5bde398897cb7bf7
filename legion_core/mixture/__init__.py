"""Fit the knowledge space: a Dirichlet process mixture finds by itself how many tasks its latents come from."""

from __future__ import annotations

from typing import Literal, get_args

from legion_core.errors import MixtureError, unknown
from legion_core.mixture.interface import MixtureEngine, MixtureFit, MixtureSettings, Move, name_components, purity
from legion_core.mixture.memoized import MemoizedEngine

__all__ = [
    "EngineName",
    "MixtureEngine",
    "MixtureFit",
    "MixtureSettings",
    "Move",
    "make_engine",
    "name_components",
    "purity",
]

EngineName = Literal["memoized", "bnpy"]


def make_engine(name: str, settings: MixtureSettings | None = None, seed: int = 0) -> MixtureEngine:
    """The engine of that name: `memoized`, this project's own, or `bnpy`, the one LEGION was published with.

    Raises:
        MixtureError: another name, or bnpy is not installed.
    """
    settings = settings or MixtureSettings()
    if name == "memoized":
        return MemoizedEngine(settings, seed)
    if name == "bnpy":
        from legion_core.mixture.bnpy_engine import BnpyEngine

        return BnpyEngine(settings, seed)
    raise MixtureError(unknown("mixture engine", name, get_args(EngineName)))
