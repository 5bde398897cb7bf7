"""Figures of runs in every state: they can be drawn, and show what the numbers say."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import records

from legion_core.learning import metrics
from legion_core.learning.metrics import History
from legion_core.report import plots
from legion_core.report.style import MARKERS, PALETTE, TaskStyle, picture, spread

TASKS = ("reach", "push", "pick-place")
STYLE = TaskStyle(TASKS)
MODES = ("lifelong", "multitask", "few_shot", "expanding")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stages", [None, 0])
def test_every_figure_of_every_kind_of_run(mode: str, stages: int | None) -> None:
    history = History.of(records(mode, TASKS, stages=stages), TASKS)
    figures = [
        plots.success_per_task(history, STYLE),
        plots.success_matrix(history),
        plots.forgetting_bars(history, STYLE),
        plots.few_shot(history, STYLE),
        plots.knowledge(history),
        plots.average_success({mode: [history]}, {}),
    ]
    if history.losses:
        figures.append(plots.losses(history))
    for figure in figures:
        made = picture(figure, "title", "description")
        assert ElementTree.fromstring(made.content).tag.endswith("svg")


def test_curves_are_the_measured_points() -> None:
    history = History.of(records())
    for axes, task in zip(plots.success_per_task(history, STYLE).axes, history.tasks, strict=True):
        drawn = axes.lines[-1]
        curve = metrics.success_curve(history, task)
        assert axes.get_title(loc="left") == task
        assert drawn.get_color() == STYLE.colour(task)
        np.testing.assert_array_equal(drawn.get_xdata(), curve.steps)
        np.testing.assert_array_equal(drawn.get_ydata(), curve.success)


def test_matrix_shows_per_cent() -> None:
    texts = [text.get_text() for text in plots.success_matrix(History.of(records())).axes[0].texts]
    assert texts == ["100", "95", "100", "95", "95", "100", "95", "100", "100"]


def test_bars_are_the_forgetting() -> None:
    history = History.of(records())
    widths = [bar.get_width() for bar in plots.forgetting_bars(history, STYLE).axes[0].patches]
    assert widths == pytest.approx(metrics.forgetting(history).tolist())


def test_runs_of_one_kind_share_a_mean() -> None:
    pair = [History.of(records(order=order)) for order in (("curriculum",), ("reverse",))]
    axes = plots.average_success({"both": pair}, {"both": 0.5}).axes[0]
    thick = max(axes.lines, key=lambda line: line.get_linewidth())
    mean = np.mean([metrics.average_success(history) for history in pair], axis=0)
    np.testing.assert_allclose(thick.get_ydata(), mean)
    assert any("paper, both 0.500" in text.get_text() for text in axes.texts)


def test_fifty_tasks_are_told_apart() -> None:
    names = tuple(f"task{i}" for i in range(50))
    style = TaskStyle(names)
    assert len({(style.colour(name), style.marker(name)) for name in names}) == 50
    assert len(PALETTE) * len(MARKERS) == 50


def test_the_same_figure_gives_the_same_bytes() -> None:
    first, second = (picture(plots.knowledge(History.of(records())), "", "").content for _ in range(2))
    assert first == second


@given(
    positions=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    gap=st.floats(0.01, 0.2),
)
def test_labels_are_spread_in_their_order(positions: list[float], gap: float) -> None:
    placed = np.array(spread(positions, gap, 1.0))
    order = np.argsort(positions)
    assert (placed <= 1.0).all()
    assert (np.diff(placed[order]) >= gap - 1e-9).all()
