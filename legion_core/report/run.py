"""A run's folder as a report reads it: settings, history, latents, policy; what is missing or broken is noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_core.learning import cross_embodiment
from legion_core.learning.cross_embodiment import CrossEmbodiment
from legion_core.learning.curriculum import Stage, schedule
from legion_core.learning.metrics import History
from legion_core.learning.run_directory import BEST, FINAL, RunDirectory
from legion_core.report.latents import Latents, load_latents
from legion_core.tasks import task_names

LATENTS = "latents.npz"


@dataclass(frozen=True)
class Run:
    """What there is to report about one run."""

    path: Path
    settings: Mapping[str, Any]
    tasks: tuple[str, ...]
    """All of the run, in curriculum order."""
    plan: tuple[Stage, ...]
    """The stages that the settings ask for."""
    history: History
    latents: tuple[Latents, ...]
    """Of each stage that left some."""
    policy: Path | None
    """The folder of the newest bundle: the final one, the best, or that of the last stage."""
    training: Mapping[str, Any]
    """What the final bundle says about how it was made; empty before there is one."""
    arms: CrossEmbodiment | None
    finished: bool
    notes: tuple[str, ...]
    """What could not be read, in a sentence each."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def order(self) -> str:
        """curriculum, random, reverse, or `own` for a list of tasks."""
        order = tuple(self.settings.get("order", ("curriculum",)))
        return str(order[0]) if len(order) == 1 and order[0] not in self.tasks else "own"

    @property
    def group(self) -> str:
        """Runs of one group differ in their seeds only, as far as a comparison is concerned."""
        mode = str(self.settings.get("mode", "lifelong"))
        parts = [mode.replace("_", "-")] if mode == "multitask" else [mode.replace("_", "-"), self.order]
        parts += [] if self.settings.get("demonstrations", "none") == "scripted" else ["without demonstrations"]
        parts += [] if self.arm == cross_embodiment.FIRST_ARM else [f"on the {self.arm}"]
        return " ".join(parts)

    @property
    def arm(self) -> str:
        """On which it learns."""
        return str(self.settings.get("arm", cross_embodiment.FIRST_ARM))


def load_run(path: Path | str) -> Run:
    """The run in a folder, finished or not.

    Raises:
        RunError: there is no run, or its records cannot be read.
        ConfigurationError: its settings cannot be read.
    """
    directory = RunDirectory.read(path)
    settings = directory.settings
    tasks = tuple(settings.get("tasks") or task_names())
    plan = schedule(
        settings.get("mode", "lifelong"),
        settings.get("order", ("curriculum",)),
        tasks,
        seed=settings.get("seed", 0),
        meetings=settings.get("meetings", 3),
    )
    notes: list[str] = []
    bundles = {folder: _bundle(folder, notes) for folder in (stage / "bundle" for stage in directory.stages)}
    latents = []
    for folder, bundle in bundles.items():
        if (folder.parent / LATENTS).is_file():
            try:
                latents.append(load_latents(folder.parent / LATENTS, bundle.knowledge if bundle else None))
            except LegionError as error:
                notes.append(str(error))
    whole = [folder for folder, bundle in bundles.items() if bundle]
    bundles = {directory.path / name: _bundle(directory.path / name, notes) for name in (BEST, FINAL)}
    whole += [folder for folder, bundle in bundles.items() if bundle]
    final = bundles[directory.path / FINAL]
    history = History.of(directory.metrics(), tasks)
    return Run(
        directory.path,
        settings,
        tasks,
        tuple(plan),
        history,
        tuple(latents),
        whole[-1] if whole else None,
        final.manifest.training if final else {},
        _arms(directory.path / cross_embodiment.FILE, notes),
        history.finished or final is not None,
        tuple(notes),
    )


def _bundle(folder: Path, notes: list[str]) -> PolicyBundle | None:
    if not folder.is_dir():
        return None
    try:
        return PolicyBundle.load(folder)
    except LegionError as error:
        notes.append(str(error))
        return None


def _arms(file: Path, notes: list[str]) -> CrossEmbodiment | None:
    if not file.is_file():
        return None
    try:
        return CrossEmbodiment.read(file)
    except LegionError as error:
        notes.append(str(error))
        return None
