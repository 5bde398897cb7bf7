"""How pictures of a report look: colours of tasks, fonts, and figures as bytes that a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from math import ceil
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, MaxNLocator

PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Ten colours that stay apart for colour-blind readers (M. Petroff, "Accessible color sequences", 2021)."""
MARKERS = ("o", "s", "^", "D", "P")
"""Beyond ten tasks the colours come again, with another marker."""
INK, FAINT, GRID = "#222222", "#777777", "#dddddd"
WIDTH = 9.0
"""Of a figure over the whole page, inches."""
PIXELS_AN_INCH = 110
"""CSS pixels, in which a figure's text is as large as that of the page."""
RESOLUTION = 200
"""Of pictures with many points, which are not drawn as vectors, dots an inch."""
LABELLED_TASKS = 12
"""Up to so many tasks text has its ordinary size where every task is named."""

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "svg.hashsalt": "legion",  # the same figure gives the same bytes
}

STEPS = EngFormatter(sep="")


@dataclass(frozen=True)
class Picture:
    """A picture that a page holds in itself."""

    content: bytes
    media_type: str
    title: str
    description: str
    """What there is to see, in words: for those who cannot see it, and as the caption."""
    width: int
    """On a large screen, CSS pixels."""

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return data_uri(self.content, self.media_type)


def data_uri(content: bytes, media_type: str) -> str:
    """`content` as a URI that needs no file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


@dataclass(frozen=True)
class TaskStyle:
    """Each task's colour and marker, the same in all pictures of a page."""

    tasks: tuple[str, ...]

    def colour(self, task: str) -> str:
        """Of a task; grey if it is none of these."""
        return PALETTE[self.tasks.index(task) % len(PALETTE)] if task in self.tasks else FAINT

    def marker(self, task: str) -> str:
        """Of a task."""
        index = self.tasks.index(task) if task in self.tasks else 0
        return MARKERS[index // len(PALETTE) % len(MARKERS)]


def drawing(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorate a function that makes a figure, so that it does so in the style of reports."""

    @wraps(draw)
    def styled(*arguments: Any, **options: Any) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*arguments, **options)

    return styled


def picture(figure: Figure, title: str, description: str, *, vector: bool = True) -> Picture:
    """The figure as SVG, or as PNG where it has too many points for vectors."""
    stream = io.BytesIO()
    with mpl.rc_context(STYLE):
        if vector:
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(stream, format="png", dpi=RESOLUTION)
    width = round(PIXELS_AN_INCH * figure.get_figwidth())
    return Picture(stream.getvalue(), "image/svg+xml" if vector else "image/png", title, description, width)


def panels(
    count: int, columns: int, size: tuple[float, float], *, share: bool = True, extra_height: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`, each of `size` inches."""
    columns = min(columns, count)
    rows = ceil(count / columns)
    figure = Figure(figsize=(columns * size[0], rows * size[1] + extra_height), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)).ravel()
    for unused in grid[count:]:
        unused.set_visible(False)
    if share:
        # the axis of a column hangs below its last panel, which need not be in the last row
        for axes in grid[max(0, count - columns) : count]:
            axes.xaxis.set_tick_params(labelbottom=True)
    return figure, list(grid[:count])


def step_axis(axes: Axes, ticks: int = 4) -> None:
    """Environment steps or updates below: few ticks, with k and M."""
    axes.xaxis.set_major_locator(MaxNLocator(ticks))
    axes.xaxis.set_major_formatter(STEPS)


def success_axis(axes: Axes) -> None:
    """Success at the left, 0 to 1."""
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1])


def halo(text: Any) -> None:
    """Keep a text readable over points."""
    text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])


def spread(positions: Sequence[float], gap: float, top: float = np.inf) -> list[float]:
    """`positions` moved apart as little as it takes for neighbours to be `gap` from each other, none above `top`."""
    order = np.argsort(positions)
    placed = np.array(positions, float)
    ceiling = top
    for index in order[::-1]:
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return [float(value) for value in placed]


@contextmanager
def quiet_grid(axes: Axes) -> Iterator[None]:
    """Draw something that has no scale, such as a projection: neither grid nor ticks."""
    yield
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
