"""The bridge in one process: the same objects and inputs as the ROS nodes, in the servo simulation."""

import pickle

import numpy as np
import pytest

from legion_core.errors import ConfigurationError
from legion_core.sim import RobotPlant, make_env
from legion_core.sim.experts import expert_action
from legion_core.spaces import ObservationSpec
from legion_sim2real.bridge import BridgeFactory, robot_state
from legion_sim2real.real2sim import Scene


@pytest.fixture(scope="module")
def plant():
    return RobotPlant("push", seed=1)


def test_factory_survives_pickling_and_makes_independent_bridges():
    factory = pickle.loads(pickle.dumps(BridgeFactory(spec=ObservationSpec(("hand_x",)))))
    one, two = factory(), factory()
    assert one.real2sim.spec.size == 1 and one.sim2real.guard is not two.sim2real.guard


def test_unknown_robot_is_refused():
    with pytest.raises(ConfigurationError, match="unknown robot"):
        BridgeFactory("toaster")()


def test_observation_is_that_of_real2sim(plant):
    state = plant.reset(seed=1)
    bridge = BridgeFactory()()
    scene = Scene(state.object_position, state.object2_position, state.goal_position)
    assert np.array_equal(bridge.observe(state), bridge.real2sim.observe(robot_state(state), scene))


def test_observation_is_what_the_simulator_sees():
    env = make_env("push", actuation="servo", bridge=BridgeFactory())
    observation, _ = env.reset(seed=1)
    seen = ObservationSpec().pack(env.unwrapped.task_state())
    assert observation == pytest.approx(seen, abs=2e-5)


def test_bad_action_leaves_the_simulated_arm_where_it_is(plant):
    state = plant.reset(seed=1)
    bridge = BridgeFactory()()
    bridge.reset(state)
    joints, gripper = bridge.act(np.full(4, np.nan), state)
    assert np.array_equal(joints, state.joint_positions) and gripper == 0.0


def test_two_runs_are_the_very_same():
    def run():
        env = make_env("reach", actuation="servo", bridge=BridgeFactory())
        env.reset(seed=5)
        return np.array([env.step(np.array([0.3, 0.5, -0.2, 1.0]))[0] for _ in range(30)])

    assert np.array_equal(run(), run())


def test_scripted_expert_reaches_its_goal_through_the_bridge():
    env = make_env("reach", actuation="servo", bridge=BridgeFactory())
    env.reset(seed=0)
    for _ in range(150):
        *_, info = env.step(expert_action("reach", env.unwrapped.expert_observation()))
    assert info["episode_success"]
