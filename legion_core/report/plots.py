"""Curves, matrices and bars of one run, and runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from legion_core.learning import metrics
from legion_core.learning.metrics import History, StageRecord
from legion_core.report.style import (
    FAINT,
    INK,
    LABELLED_TASKS,
    PALETTE,
    WIDTH,
    TaskStyle,
    drawing,
    panels,
    spread,
    step_axis,
    success_axis,
)

COLUMNS = 5
MOST_BOUNDARIES = 15
"""Boundaries of more stages than that would hide the curves."""
FRAME, BLANK = PALETTE[1], "#f1f1f1"
"""In a matrix: around the cells of a stage's new tasks, and where nothing was measured."""
MEETING_SHADES = (0.35, 0.65, 1.0)


@drawing
def success_per_task(history: History, style: TaskStyle) -> Figure:
    """A panel a task: success over all environment steps of the run; the task's own stages are shaded."""
    figure, grid = panels(len(history.tasks), COLUMNS, (WIDTH / COLUMNS, 1.35), extra_height=0.3)
    for axes, task in zip(grid, history.tasks, strict=True):
        colour = style.colour(task)
        for stage in history.stages:
            if task in stage.tasks:
                axes.axvspan(*stage.env_steps, color=colour, alpha=0.18, linewidth=0)
            if len(history.stages) <= MOST_BOUNDARIES:
                axes.axvline(stage.env_steps[0], color=FAINT, linewidth=0.4, alpha=0.6)
        curve = metrics.success_curve(history, task)
        axes.plot(*curve, color=colour, marker="o")
        axes.set_title(task)
        success_axis(axes)
        step_axis(axes, 3)
    figure.supxlabel("environment steps of the run", fontsize=9)
    figure.supylabel("success", fontsize=9)
    return figure


@drawing
def average_success(groups: Mapping[str, Sequence[History]], paper: Mapping[str, float]) -> Figure:
    """Mean success over the tasks met, stage by stage: a thin line a run, a thick one for a group's mean.

    `paper` gives the published final value of a group, where there is one.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    ends: list[tuple[float, str, str]] = []
    last = 1
    for colour, (name, histories) in zip(_cycle(len(groups)), groups.items(), strict=True):
        rows = [metrics.average_success(history) for history in histories]
        length = max(len(row) for row in rows)
        table = np.full((len(rows), length), np.nan)
        for line, row in zip(table, rows, strict=True):
            line[: len(row)] = row
            if len(rows) > 1:
                axes.plot(np.arange(1, len(row) + 1), row, color=colour, linewidth=0.8, alpha=0.5)
        whole = np.isfinite(table).all(axis=0)
        stages, means = 1 + np.flatnonzero(whole), table[:, whole].mean(axis=0)
        axes.plot(stages, means, color=colour, marker="o", linewidth=2.2)
        if len(stages):
            ends.append((float(means[-1]), f"{name} {means[-1]:.3f}", colour))
            last = max(last, int(stages[-1]))
        if name in paper:
            ends.append((paper[name], f"paper, {name} {paper[name]:.3f}", colour))
            axes.axhline(paper[name], color=colour, linewidth=1, linestyle="--", alpha=0.8)
    for height, (value, text, colour) in zip(spread([end[0] for end in ends], 0.07, 1.03), ends, strict=True):
        axes.annotate(
            text,
            (1.0, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(1.04, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "shrinkA": 2,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
    axes.set_xlim(0.8, last + 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("stage")
    axes.set_ylabel("mean success over tasks met")
    axes.set_ylim(0, 1.05)
    return figure


@drawing
def success_matrix(history: History) -> Figure:
    """Rows are stages, columns tasks, cells success in per cent; a frame marks the tasks new in a stage."""
    final = metrics.final_success(history)
    matrix = np.vstack((metrics.success_matrix(history), final))
    rows, columns = matrix.shape
    small = columns > LABELLED_TASKS
    cell = 0.26 if small else 0.42
    figure = Figure(
        figsize=(min(WIDTH + 2, 2.2 + columns * cell * 1.35), 1.5 + rows * cell * 0.75), layout="constrained"
    )
    axes = figure.subplots()
    axes.set_facecolor(BLANK)
    axes.imshow(matrix, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            ink = "white" if value > 0.6 else INK
            axes.text(
                column, row, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize=5 if small else 8
            )
    for row, stage in enumerate(history.stages):
        for task in history.newly_practised(stage):
            corner = (history.tasks.index(task) - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=FRAME, linewidth=1.8, zorder=3))
    axes.axhline(rows - 1.5, color="white", linewidth=4)
    names = [f"{stage.index + 1}  {stage_title(history, stage)}" for stage in history.stages]
    axes.set_yticks(range(rows), [*names, "final" if history.finished else "newest"])
    axes.set_xticks(range(columns), history.tasks, rotation=45, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=6 if small else 8)
    axes.set_ylabel("after stage")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return figure


@drawing
def forgetting_bars(history: History, style: TaskStyle) -> Figure:
    """A bar a task: success at the end of its own stage minus final success."""
    values = metrics.forgetting(history)
    figure = Figure(figsize=(WIDTH * 0.75, 0.7 + 0.22 * len(values)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(values))
    shown = np.nan_to_num(values)
    axes.barh(places, shown, 0.7, color=[style.colour(task) for task in history.tasks])
    reach = max(0.1, 1.25 * float(np.abs(shown).max(initial=0)))
    for place, value in zip(places, values, strict=True):
        text = "-" if np.isnan(value) else f"{value:+.2f}" if abs(value) >= 0.005 else "0.00"
        axes.text(1.07, float(place), text, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.8)
    mean = metrics.known_mean(values)
    if np.isfinite(mean):
        axes.axvline(mean, color=INK, linewidth=1, linestyle="--")
        axes.set_title(f"mean {mean:+.3f} (dashed)")
    axes.set_xlim(-reach, reach)
    axes.set_yticks(places, history.tasks)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.invert_yaxis()
    axes.set_xlabel("own-stage success minus final success (right: forgotten, left: improved)")
    return figure


@drawing
def few_shot(history: History, style: TaskStyle) -> Figure:
    """A panel a task: success over the steps of each of its own stages; the later the meeting, the darker."""
    figure, grid = panels(len(history.tasks), COLUMNS, (WIDTH / COLUMNS, 1.5), extra_height=0.3)
    for axes, task in zip(grid, history.tasks, strict=True):
        stages = history.own_stages(task)
        for number, stage in enumerate(stages, 1):
            curve = metrics.stage_curve(history, stage, task)
            shade = MEETING_SHADES[min(number, len(MEETING_SHADES)) - 1]
            axes.plot(*curve, color=style.colour(task), alpha=shade, marker="o")
        axes.axhline(metrics.THRESHOLD, color=FAINT, linewidth=0.8, linestyle=":")
        axes.set_title(task)
        success_axis(axes)
        step_axis(axes, 3)
    figure.supxlabel("environment steps of the stage (dotted: 0.8)", fontsize=9)
    figure.supylabel("success", fontsize=9)
    return figure


@drawing
def losses(history: History) -> Figure:
    """A panel a loss over gradient updates; logarithmic where all values are positive and far apart."""
    figure, grid = panels(len(history.losses), 4, (WIDTH / 4, 1.6), share=False, extra_height=0.2)
    for axes, (name, series) in zip(grid, history.losses.items(), strict=True):
        if len(history.stages) <= MOST_BOUNDARIES:
            for stage in history.stages:
                axes.axvline(stage.updates[0], color=FAINT, linewidth=0.4, alpha=0.6)
        axes.plot(*series, color=PALETTE[0], linewidth=1.2)
        values = series.values[np.isfinite(series.values)]
        if len(values) and values.min() > 0 and values.max() > 20 * values.min():
            axes.set_yscale("log")
        axes.set_title(name.replace("_", " "))
        step_axis(axes)
        axes.tick_params(labelsize=7)
    figure.supxlabel("gradient updates", fontsize=9)
    return figure


@drawing
def knowledge(history: History) -> Figure:
    """Left: components against tasks seen, for every fit; right: purity after each stage."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    fits = history.mixtures
    last = [mixture for mixture in metrics.stage_mixtures(history) if mixture]
    most = max((max(fit.components, fit.tasks_seen) for fit in fits), default=1)
    left.plot([0, most + 0.5], [0, most + 0.5], color=FAINT, linewidth=1, linestyle="--")
    left.text(0.55 * most, 0.55 * most, "one a task ", ha="right", va="bottom", color=FAINT, fontsize=8)
    left.plot([f.tasks_seen for f in fits], [f.components for f in fits], "o", color=PALETTE[0], alpha=0.3)
    left.plot([f.tasks_seen for f in last], [f.components for f in last], "o", color=PALETTE[0], markersize=6)
    left.set_xlabel("tasks seen")
    left.set_ylabel("components K")
    right.plot([f.stage + 1 for f in last], [f.purity for f in last], color=PALETTE[2], marker="o")
    right.set_xlabel("stage")
    right.set_ylabel("purity of the components")
    right.set_ylim(0, 1.05)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_xlim(0, most + 0.5)
    left.set_ylim(0, most + 0.5)
    return figure


def stage_title(history: History, stage: StageRecord) -> str:
    """What a stage practises, in a word: its task, the one that it adds, or how many."""
    new = history.newly_practised(stage)
    if len(stage.tasks) == 1:
        return stage.tasks[0]
    return f"+ {new[0]}" if len(new) == 1 else f"{len(stage.tasks)} tasks"


def _cycle(count: int) -> list[str]:
    return [PALETTE[index % len(PALETTE)] for index in range(count)]
