"""The bridge in one process: the same objects and inputs as the ROS nodes, in the servo simulation."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from legion_core.errors import ConfigurationError
from legion_core.sim import RobotPlant, make_env
from legion_core.sim.experts import expert_action
from legion_core.spaces import ObservationSpec
from legion_sim2real.bridge import BridgeFactory, robot_state
from legion_sim2real.calibration import rotation_from_rpy
from legion_sim2real.interventions import Intervention
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


@pytest.mark.parametrize("robot", ["mujoco", "mujoco_gap"])
def test_without_actions_the_arm_goes_on_if_it_interpolates_and_stops_in_the_end(plant, robot):
    state, bridge = plant.reset(seed=1), BridgeFactory(robot)()
    bridge.reset(state)
    for _ in range(10):
        command = bridge.act(np.array([1.0, 0.0, 0.0, -1.0]), state)
        state = plant.step(*command)
    coasted = []
    for _ in range(12):
        coasted.append(bridge.coast(state, plant.time_s))
        command = coasted[-1] or command
        state = plant.step(*command)
    assert (coasted[0] is None) == (robot == "mujoco")
    assert np.array_equal(coasted[-1][0], coasted[-2][0]), "at rest"


def test_a_wrong_calibration_holds_for_what_is_seen_and_for_what_is_done(plant):
    state, bridge = plant.reset(seed=1), BridgeFactory()()
    right = bridge.observe(state)
    bridge.miscalibrate(np.eye(3), np.array([0.0, 0.0, 0.01]))
    bridge.reset(state)
    wrong = bridge.observe(state)
    assert wrong[[2, 5, 11]] == pytest.approx(right[[2, 5, 11]] + 0.01, abs=1e-6)
    bridge.miscalibrate(rotation_from_rpy(0.0, 0.0, np.pi / 2), np.zeros(3))
    bridge.reset(state)
    bridge.act(np.array([1.0, 0.0, 0.0, -1.0]), state)
    turned = bridge.sim2real._calibration.direction_to_world(np.array([1.0, 0.0, 0.0]))
    straight = BridgeFactory()().real2sim.calibration.direction_to_world(np.array([1.0, 0.0, 0.0]))
    assert turned @ straight == pytest.approx(0.0, abs=1e-9)


def test_an_object_that_the_camera_has_lost_stops_the_arm(plant):
    state, bridge = plant.reset(seed=1), BridgeFactory()()
    bridge.reset(state)
    bridge.act(np.zeros(4), replace(state, object_stamp_s=state.time_s - 1.0))
    assert bridge.interventions[Intervention.STALE_OBJECT.value] == 1
