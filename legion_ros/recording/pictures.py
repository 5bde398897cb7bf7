"""A recording in pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Ellipse

from legion_core.errors import RecordingError
from legion_core.report.latents import DEVIATIONS, principal_plane
from legion_core.report.style import FAINT, INK, PALETTE, WIDTH, TaskStyle, drawing, halo
from legion_core.spaces import Vector
from legion_ros import topics
from legion_ros.recording.recording import Vectors
from legion_ros.recording.story import MEASURED, Span, Story

Canvas = Figure | SubFigure
Draw = Callable[[Canvas, Story], None]
PLANES = ((0, 1), (0, 2), (1, 2))
"""The axes of the three projections."""
MOST_COUNTERS = 10
"""So many kinds of interventions are told apart; the rarer ones are one line."""
STOPPED = "#bd1f0133"
LEAD_S, GAP_S = 1.0, 0.5


@drawing
def alone(draw: Draw, story: Story) -> Figure:
    """One of the pictures."""
    figure = Figure(figsize=(WIDTH, HEIGHTS[draw]), layout="constrained")
    draw(figure, story)
    return figure


@drawing
def overview(draws: Mapping[str, Draw], story: Story) -> Figure:
    """All of these pictures, one below the other, under their titles."""
    heights = [HEIGHTS[draw] + TITLE_HEIGHT for draw in draws.values()]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(draws), 1, height_ratios=heights, squeeze=False)[:, 0]
    for (title, draw), part in zip(draws.items(), parts, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        draw(part, story)
    return figure


def timeline(canvas: Canvas, story: Story) -> None:
    """Tasks, steps of missions, sentences, successes and stops."""
    axes = canvas.subplots()
    style = style_of(story)
    rows = {"e-stop": 0, "mission": 1, "task": 2}
    for span in story.tasks:
        _bar(axes, span, rows["task"], style.colour(span.name))
    for span in story.steps:
        _bar(axes, span, rows["mission"], "#cccccc")
    for span in story.e_stops:
        _bar(axes, span, rows["e-stop"], PALETTE[2])
    for at in story.successes:
        axes.plot(at, rows["task"] + 0.42, "v", color="black", markersize=5, clip_on=False)
    for sentence in story.sentences:
        axes.plot(sentence.at_s, rows["task"] + 0.62, "|", color=INK, markersize=8, clip_on=False)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(-0.5, 2.7)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    _seconds(axes, story)


def hand_path(canvas: Canvas, story: Story) -> None:
    """The way of the hand in three projections, with object and goal."""
    observed = story.recording.vectors(topics.OBSERVATION)
    style, times = style_of(story), story.times(observed)
    thing, goal = (_points(observed, name) for name in ("object", "goal"))
    times, hand = _broken(times, _points(observed, "hand"))
    tasks = np.array(story.task_at(times))
    for axes, plane in zip(canvas.subplots(1, 3), PLANES, strict=True):
        x, y = plane
        axes.plot(thing[:, x], thing[:, y], ".", color=FAINT, markersize=2, label="object")
        axes.plot(goal[:, x], goal[:, y], "*", color=INK, markersize=7, label="goal")
        for task in dict.fromkeys(tasks.tolist()):
            # NaN breaks the line where another task was done in between
            way = np.where((tasks == task)[:, None], hand, np.nan)
            label = f"hand, {task}" if task else "hand, no task"
            axes.plot(way[:, x], way[:, y], color=style.colour(task), linewidth=1.1, label=label)
        axes.set_xlabel(f"{'xyz'[x]}, m")
        axes.set_ylabel(f"{'xyz'[y]}, m")
        axes.set_aspect("equal", adjustable="datalim")
    handles, labels = axes.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)


def actions(canvas: Canvas, story: Story) -> None:
    """What the policy wanted."""
    acted = story.recording.vectors(topics.ACTION)
    times, values = _broken(story.times(acted), acted.values)
    rows = canvas.subplots(len(acted.names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name, column in zip(rows, acted.names, values.T, strict=True):
        axes.plot(times, column, color=PALETTE[0], linewidth=0.9)
        axes.set_ylim(-1.1, 1.1)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        _stops(axes, story)
    _seconds(axes, story)


def interventions(canvas: Canvas, story: Story) -> None:
    """How often the guard had intervened, by name."""
    axes, told = canvas.subplots(), story.interventions
    if not told.values.size:
        raise RecordingError("sim2real_node has told of none")
    grown = told.values - told.values[0]
    order = [i for i in np.argsort(-grown[-1]).tolist() if grown[-1, i] > 0]
    for place, i in enumerate(order[:MOST_COUNTERS]):
        label = f"{told.names[i]} ({grown[-1, i]:.0f})"
        axes.step(told.times_s, grown[:, i], where="post", color=PALETTE[place % len(PALETTE)], label=label)
    if rest := order[MOST_COUNTERS:]:
        axes.step(told.times_s, grown[:, rest].sum(1), where="post", color=FAINT, label="others")
    axes.set_ylabel("interventions")
    if order:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=FAINT)
    _stops(axes, story)
    _seconds(axes, story)


def latency(canvas: Canvas, story: Story) -> None:
    """From joint state to command: over time, and as a distribution."""
    measured = story.latency
    if not measured.times_s.size:
        raise RecordingError("no command in the recording answers a joint state")
    over, spread = canvas.subplots(1, 2, width_ratios=(3, 1.4))
    over.plot(measured.times_s, measured.total_ms, ".", color=PALETTE[0], markersize=2)
    over.set_ylabel("joint state to command, ms")
    over.set_ylim(0, None)
    _seconds(over, story)
    medians = np.median(measured.parts_ms, 0)
    lefts = np.concatenate(([0.0], np.cumsum(medians)[:-1]))
    labels = [f"{before}\nto {after}" for before, after in pairwise(MEASURED)]
    spread.barh(labels, medians, left=lefts, color=PALETTE[: len(medians)])
    for place, (left, value) in enumerate(zip(lefts, medians, strict=True)):
        spread.text(left + value, place, f" {value:.2f}", va="center", fontsize=8)
    spread.invert_yaxis()
    spread.margins(x=0.25)
    spread.grid(False, axis="y")
    spread.set_xlabel("median, ms")


def responsibilities(canvas: Canvas, story: Story) -> None:
    """Which component of the knowledge space explained the latent."""
    latent, tasks = story.recording.vectors(topics.LATENT), story.recording.bundle.manifest.components
    shares = _numbered(latent, "component_")
    axes, style = canvas.subplots(), TaskStyle(tasks)
    times, shares = _broken(story.times(latent), shares, 0.0)
    axes.stackplot(times, shares.T, colors=[style.colour(task) for task in tasks], linewidth=0, labels=tasks)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    _seconds(axes, story)


def latent_plane(canvas: Canvas, story: Story) -> None:
    """The latent's way over the components, in the two directions that part these most."""
    latent, knowledge = story.recording.vectors(topics.LATENT), story.recording.bundle.knowledge
    deviation = np.sqrt(knowledge.variances.mean(0))
    means = knowledge.means / deviation
    centre, plane = principal_plane(means)
    axes, style = canvas.subplots(), TaskStyle(knowledge.tasks)
    for mean, variance, task in zip(means, knowledge.variances / deviation**2, knowledge.tasks, strict=True):
        place = (mean - centre) @ plane
        spreads, turn = np.linalg.eigh(plane.T @ (variance[:, None] * plane))
        width, height = 2 * DEVIATIONS * np.sqrt(spreads)
        angle = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
        axes.add_patch(Ellipse((place[0], place[1]), width, height, angle=angle, color=style.colour(task), alpha=0.45))
        halo(axes.annotate(task, place, (0, -8), textcoords="offset points", ha="center", va="top", fontsize=7))
    way = (_numbered(latent, "z") / deviation - centre) @ plane
    points = axes.scatter(way[:, 0], way[:, 1], s=4, c=story.times(latent), cmap="viridis", linewidths=0, zorder=3)
    axes.margins(0.1)
    axes.grid(False)
    canvas.colorbar(points, ax=axes, label="s")


HEIGHTS: dict[Draw, float] = {
    timeline: 1.5,
    hand_path: 3.3,
    actions: 3.2,
    interventions: 2.4,
    latency: 2.3,
    responsibilities: 2.2,
    latent_plane: 4.2,
}
"""Of each picture, inches."""
TITLE_HEIGHT = 0.25


def style_of(story: Story) -> TaskStyle:
    """The colours of tasks, the same as of their components."""
    known = story.recording.bundle.manifest.components
    return TaskStyle(tuple(dict.fromkeys((*known, *(span.name for span in story.tasks)))))


def _bar(axes: Axes, span: Span, row: int, colour: str) -> None:
    bar = axes.barh(row, span.end_s - span.begin_s, 0.7, left=span.begin_s, color=colour)
    text = axes.text(span.begin_s, row, f" {span.name}", va="center", fontsize=7, clip_on=True)
    text.set_clip_path(bar[0])  # the name of a short one must not cover the next
    halo(text)


def _stops(axes: Axes, story: Story) -> None:
    for span in story.e_stops:
        axes.axvspan(span.begin_s, span.end_s, color=STOPPED, linewidth=0)


def _seconds(axes: Axes, story: Story) -> None:
    """The time below: from shortly before the first sentence or task, as nothing happens before it."""
    first = [begin for begin, *_ in (*story.sentences, *story.tasks, *story.e_stops)]
    axes.set_xlim(max(0.0, min(first, default=0.0) - LEAD_S), story.end_s + 1e-3)
    axes.set_xlabel("s")


def _broken(times: Vector, values: Vector, nothing: float = np.nan) -> tuple[Vector, Vector]:
    """Values (n, k) over time, broken by two rows of `nothing` where none came for GAP_S."""
    breaks = np.flatnonzero(np.diff(times) > GAP_S)
    around = np.stack((times[breaks], times[breaks + 1]), 1).ravel()
    twice = np.repeat(breaks + 1, 2)
    return np.insert(times, twice, around), np.insert(values, twice, nothing, axis=0)


def _points(observed: Vectors, thing: str) -> Vector:
    return np.stack([observed.column(f"{thing}_{axis}") for axis in "xyz"], 1)


def _numbered(vectors: Vectors, prefix: str) -> Vector:
    """The columns whose names are the prefix and a number (n, count)."""
    chosen = [i for i, name in enumerate(vectors.names) if name.removeprefix(prefix).isdigit() and prefix in name]
    return vectors.values[:, chosen]
