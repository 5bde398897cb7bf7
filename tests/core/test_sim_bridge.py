"""The experts through the robot's own bridge: real2sim, sim2real and the safety guard in the loop."""

from __future__ import annotations

import pytest

from legion_core.sim import EVALUATION_SEED_BASE, make_env
from legion_core.sim.experts import expert_action
from legion_core.tasks import task_names
from legion_sim2real.bridge import BridgeFactory


@pytest.mark.parametrize("task", task_names())
def test_expert_solves_the_task_on_the_guarded_robot(task: str) -> None:
    env = make_env(task, actuation="servo", bridge=BridgeFactory())
    env.reset(seed=EVALUATION_SEED_BASE)
    for _ in range(env.max_steps):
        info = env.step(expert_action(task, env.expert_observation()))[4]
        if info["success"]:
            return
    pytest.fail(f"{task} is not solved in {env.max_steps} steps")


def test_the_bridge_observes_what_the_simulation_knows() -> None:
    env = make_env("pick-place", actuation="servo", bridge=BridgeFactory())
    observation, _ = env.reset(seed=3)
    for _ in range(20):
        assert observation == pytest.approx(env.observation_spec.pack(env.task_state()), abs=1e-6)
        observation = env.step(expert_action("pick-place", env.expert_observation()))[0]
