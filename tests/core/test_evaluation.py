"""Counting successes: intervals against a library, tables against their episodes, and one real small run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from legion_core.bundle import PolicyBundle
from legion_core.errors import ConfigurationError, SimulationError, TaskError
from legion_core.evaluation import Episode, Evaluation, Summary, chunks, evaluate_direct, wilson_interval

EPISODES = (
    Episode("reach", 1, True, 40, 0.8, (1.0, 3.0), {"speed": 2}),
    Episode("reach", 2, False, 150, 3.0, (2.0,), {"speed": 1, "workspace": 4}),
    Episode("push", 1, False, 150, 3.0),
)


@given(trials=st.integers(1, 2000), share=st.floats(0, 1))
def test_interval_is_wilsons(trials: int, share: float) -> None:
    successes = round(share * trials)
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_summary_counts_successes_only_where_it_should() -> None:
    summary = Evaluation({}, EPISODES).tasks[0]
    assert (summary.name, summary.episodes, summary.successes, summary.success) == ("reach", 2, 1, 0.5)
    assert (summary.steps, summary.time_s) == (40, 0.8)
    assert summary.latency_ms[0] == 2.0
    assert summary.interventions == {"speed": 3, "workspace": 4}


def test_no_success_and_no_latency_are_not_numbers() -> None:
    summary = Summary.of("push", EPISODES[2:])
    assert summary.success == 0
    assert np.isnan([summary.steps, summary.time_s, *summary.latency_ms]).all()


def test_mean_is_over_tasks_and_worst_is_the_least() -> None:
    evaluation = Evaluation({}, EPISODES)
    assert evaluation.mean_success == 0.25
    assert evaluation.worst_success == 0
    assert evaluation.total.success == pytest.approx(1 / 3)


def test_table_and_json_are_written(tmp_path: Path) -> None:
    table, data = Evaluation({"loop": "direct"}, EPISODES).write(tmp_path / "new" / "result.v1")
    assert (table.name, data.name) == ("result.v1.md", "result.v1.json")
    text = table.read_text()
    assert "| reach | 0.500 (1/2) |" in text and "workspace 4, speed 3" in text and "| all |" in text
    assert "| push | 0.000 (0/1) | 0.000 to 0.793 | - | - | none | - / - |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    loaded = json.loads(data.read_text())
    assert loaded["tasks"][1]["steps"] is None
    assert [episode["seed"] for episode in loaded["episodes"]] == [1, 2, 1]


@given(count=st.integers(0, 40), size=st.integers(1, 12))
def test_chunks_keep_every_seed_in_order(count: int, size: int) -> None:
    groups = chunks(range(count), size)
    assert [seed for group in groups for seed in group] == list(range(count))
    assert all(0 < len(group) <= size for group in groups)


def test_direct_evaluation_runs_and_repeats(random_bundle: PolicyBundle) -> None:
    pytest.importorskip("metaworld")
    runs = [
        evaluate_direct(random_bundle, tasks=["push", "reach"], episodes=2, processes=processes, progress=False)
        for processes in (1, 2)
    ]
    outcomes = [[(e.task, e.seed, e.success, e.steps) for e in run.episodes] for run in runs]
    assert outcomes[0] == outcomes[1]
    assert [e.task for e in runs[0].episodes] == ["push", "push", "reach", "reach"]
    for episode in runs[0].episodes:
        assert episode.seed >= 1_000_000
        assert len(episode.latencies_ms) == episode.steps <= 150
        assert episode.time_s == pytest.approx(episode.steps * 0.0125)


def test_what_cannot_be_evaluated_is_named(random_bundle: PolicyBundle) -> None:
    pytest.importorskip("metaworld")
    with pytest.raises(TaskError, match="dance"):
        evaluate_direct(random_bundle, tasks=["dance"])
    with pytest.raises(ConfigurationError, match="episodes"):
        evaluate_direct(random_bundle, episodes=0)
    with pytest.raises(SimulationError, match="bridge"):
        evaluate_direct(random_bundle, tasks=["reach"], episodes=1, actuation="servo", processes=1, progress=False)
