"""The detector against the simulator's own rule, step by step, and against noise."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="the simulator is not installed")

from legion_core.bundle import PolicyBundle
from legion_core.errors import TaskError
from legion_core.policy import LegionPolicy
from legion_core.sim import make_env
from legion_core.success import HOLD_STEPS, SuccessDetector
from legion_core.tasks import task_names
from legion_sim2real.bridge import BridgeFactory

SEEDS = (40, 41, 42)
LAG_STEPS = 8
"""The detector may be so much later than the rule: it asks for several steps, and of `reach` for more."""


@pytest.fixture(scope="module")
def bundle() -> PolicyBundle:
    return PolicyBundle.load()


@pytest.mark.parametrize("task", task_names())
def test_it_never_says_more_than_the_rule_and_sees_what_the_rule_sees(task: str, bundle: PolicyBundle) -> None:
    env = make_env(task, actuation="servo", bridge=BridgeFactory(spec=bundle.spec), spec=bundle.spec)
    policy, embedding = LegionPolicy(bundle), bundle.embedding(task)
    noise = np.random.default_rng(0)
    for seed in SEEDS:
        observation, _ = env.reset(seed=seed)
        detector, solved_at, seen_at = SuccessDetector(task), None, None
        for step in range(150):
            action = policy.act(observation, embedding).action
            if seed == SEEDS[-1]:  # what the policy alone would not do
                action = np.clip(action + noise.normal(0.0, 0.4, 4), -1.0, 1.0).astype(np.float32)
            observation, _, _, _, info = env.step(action)
            solved_at = step if solved_at is None and info["success"] else solved_at
            if seen_at is None and detector.update(observation[:12]):
                seen_at = step
                assert info["success"], f"{task}, seed {seed}, step {step}: the rule does not hold"
        if seed != SEEDS[-1]:
            assert solved_at is not None
            assert seen_at is not None
            assert seen_at - solved_at <= LAG_STEPS
    env.close()


def observation_of(hand: float = 0.5, thing: float = 0.7, goal: float = 0.8) -> np.ndarray:
    """Hand, object and goal one behind the other in y."""
    values = np.zeros(12, np.float32)
    values[1], values[4], values[10] = hand, thing, goal
    return values


def test_a_rule_must_hold_for_some_steps_in_a_row() -> None:
    detector, near, far = SuccessDetector("push"), observation_of(thing=0.79), observation_of(thing=0.7)
    assert not any(detector.update(o) for _ in range(5) for o in (*[near] * (HOLD_STEPS - 1), far))
    assert [detector.update(near) for _ in range(HOLD_STEPS)] == [False] * (HOLD_STEPS - 1) + [True]
    assert not detector.update(far)


def test_what_is_not_finite_solves_nothing() -> None:
    for task in task_names():
        detector = SuccessDetector(task, hold_steps=1)
        assert not detector.update(np.full(12, np.nan, np.float32))


def test_a_frame_moved_along_the_table_changes_nothing() -> None:
    moved = observation_of(thing=0.76)
    moved[[0, 3, 9]] += 0.3
    moved[[1, 4, 10]] -= 0.2
    assert SuccessDetector("push", hold_steps=1).update(moved)


def test_another_task_has_no_detector() -> None:
    with pytest.raises(TaskError, match="unknown task 'juggle'"):
        SuccessDetector("juggle")
