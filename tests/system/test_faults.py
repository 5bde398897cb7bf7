"""Faults in the running graph: the arm is held, no limit is broken, and the task goes on as the documentation says.

The faults and the judgement are those of benchmarks/fault_matrix.py, which runs all of them and asks how soon the arm
is held. On a busy machine that says more about the machine: here it is held before the fault ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

import numpy as np
from fault_graph import PROFILE, FaultGraph, Recorder, Sample
from fault_judge import violations
from fault_matrix import FIRST_SEED, TASKS, faults, run
from running import POLICY

SPEED = 0.5
"""Simulated seconds a second: leaves a loaded machine time, as times are the robot's."""
PATIENCE_S = 60.0
"""On a loaded machine actions come late, and the arm is held again and again."""
FAULTS = {fault.name: fault for fault in faults(seed=0)}
QUICK = (
    "silence: lbr/joint_states",
    "frozen stamps: legion/action",
    "clock leaps by -5 s",
    "duplicates: everything",
    "sim2real_node hangs",
    "driver restart in another posture",
)


@pytest.fixture(scope="module")
def graph() -> Iterator[FaultGraph]:
    with FaultGraph(POLICY, SPEED) as running:
        yield running


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_in_mid_motion(graph: FaultGraph, name: str) -> None:
    task = TASKS[QUICK.index(name) % len(TASKS)]
    fault = FAULTS[name]
    result = run(graph, fault, task, FIRST_SEED, PROFILE.load_safety(), PATIENCE_S)
    assert result.held_within(1e3 * fault.lasts_s), result


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda q: None, ""),
        (lambda q: q.__setitem__(slice(20, None), q[20:] + 0.1), "velocity"),
        (lambda q: q.__setitem__(slice(20, None), q[20:] + 0.03), "velocity step"),
        (lambda q: q.__setitem__((slice(None), 1), q[:, 1] + 2.2), "position"),
    ],
)
def test_the_judge_sees_what_is_beyond_a_limit(damage: Callable[[np.ndarray], None], found: str) -> None:
    """A smooth motion of 0.3 rad/s, and what must not be."""
    recorder, times = Recorder(1.0), 0.02 * np.arange(40)
    positions = np.full((40, 7), 0.1) + 0.15 * (times**2)[:, None]
    damage(positions)
    recorder.joints = [Sample(-0.01, -0.01, positions[0], 0.0)]
    recorder.sent = [Sample(t, t, q) for t, q in zip(times, positions, strict=True)]
    judged = violations(recorder, PROFILE.load_safety())
    assert bool(judged) == bool(found)
    assert all(text.startswith(found) for text in judged[:1])


def test_the_judge_sees_a_restart_away_from_the_arm() -> None:
    recorder = Recorder(1.0)
    recorder.joints = [Sample(0.95, 0.95, np.zeros(7), 0.0)]
    recorder.sent = [Sample(1.0, 1.0, np.full(7, 0.05))]
    assert violations(recorder, PROFILE.load_safety()) == ("restart 0.050 rad away from the arm",)
