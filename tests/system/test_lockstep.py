"""In lockstep the graph is the direct loop: the same bits, however loaded the machine is; so is what is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import POLICY, replayed

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")
pytest.importorskip("mcap", reason="the extra 'record' is not installed")

from sensor_msgs.msg import JointState

from legion_core.bundle import PolicyBundle
from legion_core.policy import LegionPolicy
from legion_core.sim import EVALUATION_SEED_BASE, make_env
from legion_ros.client import LegionClient
from legion_ros.deployment import NodeSpec
from legion_ros.evaluation import LoopEvaluator, lockstep_graph
from legion_ros.qos import EVENT
from legion_ros.stamps import to_seconds
from legion_ros.starter import Starter
from legion_sim2real.bridge import BridgeFactory

EPISODES = [("button-press-topdown", 3), ("reach", 4), ("reach", 5), ("pick-place", 0), ("pick-place", 1)]


def direct_episode(bundle: PolicyBundle, task: str, seed: int) -> tuple[list[np.ndarray], dict[str, int]]:
    """The joint positions after each step of an episode without ROS, and what the guard did."""
    env: Any = make_env(task, actuation="servo", bridge=BridgeFactory(spec=bundle.spec), spec=bundle.spec)
    policy, embedding = LegionPolicy(bundle), bundle.embedding(task)
    observation, info = env.reset(seed=seed)
    joints, truncated = [], False
    while not (truncated or info["success"]):
        observation, _, _, truncated, info = env.step(policy.act(observation, embedding).action)
        joints.append(env.plant.state().joint_positions)
    env.close()
    return joints, dict(env.bridge.sim2real.guard.counts)


def test_lockstep_equals_the_direct_loop_bit_for_bit(tmp_path: Path) -> None:
    bundle = PolicyBundle.load(POLICY or None)
    heard: dict[float, np.ndarray] = {}  # by stamp: a simulator that waits long says the same state again
    recorder = NodeSpec("record_node", {"file": str(tmp_path / "run.mcap")}, critical=False, respawn=None)
    graph = (*lockstep_graph(POLICY, EPISODES[0][0]), recorder)
    with Starter(graph) as starter, LegionClient() as client:
        for _ in starter.wait_ready():
            pass
        client.node.create_subscription(
            JointState,
            "lbr/joint_states",
            lambda message: heard.update({to_seconds(message.header.stamp): np.array(message.position)}),
            EVENT,
        )
        evaluator = LoopEvaluator(starter, client, bundle)
        for task, offset in EPISODES:
            seed = EVALUATION_SEED_BASE + offset
            expected, interventions = direct_episode(bundle, task, seed)
            episode = evaluator.run(task, seed)
            steps = list(heard.values())[
                -episode.steps :
            ]  # the reset state, then one a step but the last, which nobody has to answer
            assert episode.steps == len(expected)
            assert episode.interventions == interventions
            # a busy machine may show the client a command before the state that it answers
            assert 0.8 * episode.steps <= len(episode.latencies_ms) <= episode.steps
            assert all(a.tobytes() == b.tobytes() for a, b in zip(steps[1:], expected, strict=False))
    _, found = replayed(tmp_path / "run.mcap")
    assert found.actions.same > 40
