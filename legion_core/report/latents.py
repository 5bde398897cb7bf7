"""The knowledge space in pictures: latents laid out in the plane, and the components of the mixture over them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from legion_core.errors import RunError
from legion_core.knowledge import KnowledgeSpace
from legion_core.report.style import FAINT, INK, LABELLED_TASKS, WIDTH, TaskStyle, drawing, halo, panels
from legion_core.spaces import Vector

POINTS = 1000
"""Latents in a picture, evenly over the tasks: more are neither seen nor quick to lay out."""
POINTS_A_STAGE = 400
MOST_STAGES = 12
"""Stages shown in small, evenly chosen, the first and the last among them."""
COLUMNS = 4
PERPLEXITY = 30.0
DEVIATIONS = 2.0
"""Radius of an ellipse, standard deviations."""


@dataclass(frozen=True)
class Latents:
    """Latents (N, D) at the end of a stage, with the task and the mixture component of each."""

    stage: int
    values: Vector
    tasks: tuple[str, ...]
    """(N,)"""
    components: npt.NDArray[np.int64]
    """(N,)"""
    knowledge: KnowledgeSpace | None = None
    """The mixture of that stage."""

    @property
    def scale(self) -> Vector:
        """The deviation (D,) of latents within their components, in each direction.

        Directions in which the encoder says nothing are pure noise, as wide as the others: in units of this the
        components are round, and what tells them apart is what is large.
        """
        counts = np.bincount(self.components)
        centres = np.array([np.bincount(self.components, column) for column in self.values.T]).T
        centres /= np.maximum(counts, 1)[:, None]
        deviation: Vector = np.sqrt(np.mean((self.values - centres[self.components]) ** 2, axis=0))
        return np.where(deviation > 0, deviation, 1.0)

    def sample(self, count: int) -> Latents:
        """At most `count` of them, as many of each task as of any other; always the same ones."""
        rng = np.random.default_rng(0)
        names = np.array(self.tasks)
        kinds = dict.fromkeys(self.tasks)
        each = max(1, count // max(1, len(kinds)))
        groups = [np.flatnonzero(names == name) for name in kinds]
        chosen = [np.sort(rng.choice(group, min(each, len(group)), replace=False)) for group in groups]
        index = np.concatenate(chosen) if chosen else np.zeros(0, int)
        return Latents(
            self.stage, self.values[index], tuple(names[index].tolist()), self.components[index], self.knowledge
        )


def load_latents(file: Path, knowledge: KnowledgeSpace | None = None) -> Latents:
    """The latents in a stage's `latents.npz`.

    Raises:
        RunError: the file cannot be read, or its arrays do not fit each other.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            values = arrays["z"].astype(np.float64)
            task, assignment = arrays["task"].astype(np.int64), arrays["assignment"].astype(np.int64)
            names, stage = arrays["names"].tolist(), int(arrays["stage"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{file}: not the latents of a stage ({error})") from error
    fits = (
        values.ndim == 2 and len(values) == len(task) == len(assignment) and np.all((task >= 0) & (task < len(names)))
    )
    if not fits:
        raise RunError(f"{file}: expected z (N, D), task (N,) and assignment (N,) of {len(names)} tasks")
    return Latents(stage, values, tuple(str(names[i]) for i in task), assignment, knowledge)


@drawing
def tsne_by_task_and_component(latents: Latents, style: TaskStyle) -> Figure:
    """Two panels of the same layout: left the colours of tasks, right those of the mixture's components."""
    some = latents.sample(POINTS)
    places = tsne(some.values / latents.scale)
    owners = component_owners(some)
    figure, (left, right) = panels(2, 2, (WIDTH / 2, 4.2))
    _scatter(left, places, some.tasks, style, 9)
    _name(left, places, some.tasks, {task: task for task in some.tasks}, 7)
    left.set_title(f"by task ({len(set(some.tasks))})")
    labels = [owners[c] for c in some.components.tolist()]
    _scatter(right, places, labels, style, 9)
    components = [f"{c}" for c in some.components.tolist()]
    _name(right, places, components, {c: f"{c}: {owners[int(c)]}" for c in components}, 7)
    right.set_title(f"by component ({len(owners)})")
    return figure


@drawing
def tsne_stages(stages: Sequence[Latents], style: TaskStyle) -> Figure:
    """A panel a stage, coloured by task."""
    shown = chosen(stages)
    figure, grid = panels(len(shown), COLUMNS, (WIDTH / COLUMNS, 2.2), share=False)
    for axes, latents in zip(grid, shown, strict=True):
        some = latents.sample(POINTS_A_STAGE)
        places = tsne(some.values / latents.scale)
        _scatter(axes, places, some.tasks, style, 5)
        axes.set_title(f"after stage {latents.stage + 1}")
    return figure


@drawing
def mixtures(stages: Sequence[Latents], style: TaskStyle) -> Figure:
    """A panel a stage: latents in the two directions that part them most, an ellipse of two deviations a component."""
    shown = [latents for latents in chosen(stages) if latents.knowledge is not None]
    figure, grid = panels(len(shown), COLUMNS, (WIDTH / COLUMNS, 2.4), share=False)
    for axes, latents in zip(grid, shown, strict=True):
        _mixture_panel(axes, latents, style)
    return figure


def _mixture_panel(axes: Axes, latents: Latents, style: TaskStyle) -> None:
    assert latents.knowledge is not None
    some, knowledge, scale = latents.sample(POINTS_A_STAGE), latents.knowledge, latents.scale
    centre, plane = principal_plane(some.values / scale)
    _scatter(axes, (some.values / scale - centre) @ plane, some.tasks, style, 4)
    means, variances = knowledge.means / scale, knowledge.variances / scale**2
    for mean, variance, task in zip(means, variances, knowledge.tasks, strict=True):
        place = (mean - centre) @ plane
        spreads, turn = np.linalg.eigh(plane.T @ (variance[:, None] * plane))
        width, height = 2 * DEVIATIONS * np.sqrt(spreads)
        angle = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
        ellipse = Ellipse((place[0], place[1]), width, height, angle=angle, fill=False, edgecolor=INK, linewidth=0.8)
        axes.add_patch(ellipse)
        if len(knowledge.tasks) <= LABELLED_TASKS:
            halo(axes.annotate(task, place, (0, -7), textcoords="offset points", ha="center", va="top", fontsize=5.5))
    axes.margins(0.14)  # room for the names
    axes.set_title(f"after stage {latents.stage + 1}: K = {len(knowledge.tasks)}")
    del style


def tsne(values: Vector) -> Vector:
    """A layout (N, 2) of latents (N, D) that keeps neighbours together; the same for the same latents."""
    from sklearn.manifold import TSNE

    if len(values) < 4:
        return np.zeros((len(values), 2))
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    places: Vector = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(values)
    return places


def principal_plane(values: Vector) -> tuple[Vector, Vector]:
    """The mean (D,) of latents (N, D) and their two directions of largest variance (D, 2)."""
    centre = values.mean(axis=0)
    plane: Vector = np.linalg.svd(values - centre, full_matrices=False)[2][:2].T
    return centre, plane


def component_owners(latents: Latents) -> dict[int, str]:
    """The task of most of each component's latents."""
    names = np.array(latents.tasks)
    owners = {}
    for component in np.unique(latents.components).tolist():
        found, votes = np.unique(names[latents.components == component], return_counts=True)
        owners[component] = str(found[votes.argmax()])
    return owners


def chosen(stages: Sequence[Latents]) -> list[Latents]:
    """At most MOST_STAGES of the stages, evenly, with the first and the last."""
    index = np.unique(np.linspace(0, len(stages) - 1, min(MOST_STAGES, len(stages))).round().astype(int))
    return [stages[i] for i in index]


def _scatter(axes: Axes, places: Vector, tasks: Sequence[str], style: TaskStyle, size: float) -> None:
    names = np.array(tasks)
    for task in dict.fromkeys(tasks):
        x, y = places[names == task].T
        axes.scatter(x, y, s=size, c=style.colour(task), marker=style.marker(task), linewidths=0, alpha=0.75)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(FAINT)


def _name(axes: Axes, places: Vector, groups: Sequence[str], texts: dict[str, str], size: float) -> None:
    """Write each group's text at the median of its points."""
    names = np.array(groups)
    for group, text in texts.items():
        x, y = np.median(places[names == group], axis=0)
        halo(axes.text(x, y, text, ha="center", va="center", fontsize=size if len(texts) <= LABELLED_TASKS else 5))
