"""The observation: frames, order of fields and what a task without a second object sees."""

import numpy as np
import pytest

from legion_core.spaces import GRIPPER_OPENING, LEGION_FIELDS, ObservationSpec
from legion_sim2real.real2sim import Real2Sim, RobotState, Scene
from legion_sim2real.robot import load_profile


@pytest.fixture
def sim_points():
    return np.random.default_rng(0).uniform(-0.5, 0.5, (3, 3))


@pytest.fixture
def scene(calibration, sim_points):
    return Scene(*calibration.to_world(sim_points))


@pytest.fixture
def state(home):
    return RobotState(1.0, home, 0.25)


def test_everything_arrives_in_the_simulation_frame(kinematics, calibration, scene, state, sim_points, home):
    observation = Real2Sim(kinematics, calibration, ObservationSpec()).observe(state, scene)
    hand = calibration.to_sim(kinematics.forward(home).position)
    assert observation.dtype == np.float32
    assert observation == pytest.approx(np.r_[hand, sim_points[0], sim_points[1], sim_points[2], 0.25], abs=1e-6)


def test_hand_of_the_posture_lies_in_meta_worlds_box(profile, kinematics, calibration, home):
    hand = calibration.to_sim(kinematics.forward(home).position)
    assert (profile.sim2real.hand_low_m < hand).all() and (hand < profile.sim2real.hand_high_m).all()


def test_missing_second_object_is_zero_in_the_simulation_frame(kinematics, calibration, scene, state):
    spec = ObservationSpec(LEGION_FIELDS)
    observation = Real2Sim(kinematics, calibration, spec).observe(state, Scene(scene.object, None, scene.goal))
    assert observation.shape == (12,)
    assert (observation[6:9] == 0).all()


def test_fields_come_in_the_order_of_the_spec(kinematics, calibration, scene, state):
    full = Real2Sim(kinematics, calibration, ObservationSpec()).observe(state, scene)
    spec = ObservationSpec((GRIPPER_OPENING, "goal_z", "hand_x"))
    assert Real2Sim(kinematics, calibration, spec).observe(state, scene).tolist() == [full[12], full[11], full[0]]


def test_what_is_not_finite_stays_visible(kinematics, calibration, scene):
    observation = Real2Sim(kinematics, calibration, ObservationSpec()).observe(
        RobotState(1.0, np.full(7, np.nan), 0.5), scene
    )
    assert np.isnan(observation[:3]).all() and np.isfinite(observation[3:]).all()


def test_filtered_objects_follow_the_hand_and_a_reset_forgets_them(calibration, scene, state, home):
    real2sim = load_profile("mujoco_gap").make_real2sim(ObservationSpec())
    first = real2sim.observe(state, Scene(scene.object, None, scene.goal, 0.98))
    again = real2sim.observe(RobotState(1.02, home, 0.25), Scene(scene.object + 0.01, None, scene.goal, 1.0))
    assert np.abs(again[3:6] - first[3:6]).max() < 0.01, "the filter has not believed all of it"
    assert again[9:12] == pytest.approx(first[9:12]), "a goal is taken as it comes"
    real2sim.reset()
    fresh = real2sim.observe(RobotState(1.04, home, 0.25), Scene(scene.object + 0.01, None, scene.goal, 1.0))
    assert fresh[3:6] == pytest.approx(calibration.to_sim(scene.object + 0.01), abs=1e-6)
