"""The arm that the simulator builds against the one that the robot side computes with."""

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from legion_core.description import load_description
from legion_core.sim import BASE_POSITION_M, BASE_YAW_RAD, RobotPlant
from legion_sim2real.calibration import rotation_from_rpy

CONFIGURATIONS = 1000


@pytest.fixture(scope="module")
def plant():
    return RobotPlant("reach", seed=0)


@pytest.fixture(scope="module")
def joint_ids(plant):
    arm = [
        i for i in range(plant.model.njnt) if plant.model.joint(i).name.endswith(tuple(f"A{n}" for n in range(1, 8)))
    ]
    assert len(arm) == 7
    return arm


def test_calibration_is_the_pose_of_the_simulated_base(calibration):
    assert calibration.translation == pytest.approx(BASE_POSITION_M)
    assert calibration.rotation == pytest.approx(rotation_from_rpy(0, 0, BASE_YAW_RAD))
    assert calibration.scale == 1.0


def test_safety_knows_the_simulated_table(profile, calibration):
    table = calibration.to_world(np.zeros(3))[2]
    assert profile.load_safety().table_height_m == pytest.approx(table)


def test_hand_pose_agrees_over_random_configurations(plant, joint_ids, kinematics, calibration):
    data = mujoco.MjData(plant.model)
    address = plant.model.jnt_qposadr[joint_ids]
    for q in np.random.default_rng(0).uniform(kinematics.lower, kinematics.upper, (CONFIGURATIONS, 7)):
        data.qpos[address] = q
        mujoco.mj_kinematics(plant.model, data)
        pose = kinematics.forward(q)
        simulated = calibration.rotation_to_world(data.body("hand").xmat.reshape(3, 3))
        assert np.linalg.norm(calibration.to_sim(pose.position) - data.body("hand").xpos) < 1e-6
        assert Rotation.from_matrix(simulated.T @ pose.rotation).magnitude() < 1e-6


def test_limits_agree(plant, joint_ids, kinematics):
    assert plant.model.jnt_range[joint_ids] == pytest.approx(np.c_[kinematics.lower, kinematics.upper])


def test_masses_and_inertias_agree(plant, joint_ids):
    description = load_description()
    for joint, name in zip(joint_ids, description.arm_joints, strict=True):
        link = description.link(description.joint(name).child)
        body = plant.model.body(plant.model.jnt_bodyid[joint])
        principal = Rotation.from_quat(np.roll(body.iquat, -1)).as_matrix()
        assert body.mass[0] == pytest.approx(link.mass, abs=1e-6)
        assert body.ipos == pytest.approx(link.com, abs=1e-6)
        assert principal @ np.diag(body.inertia) @ principal.T == pytest.approx(link.inertia, abs=1e-6)


def test_plant_reports_positions_in_the_frame_of_the_kinematics(plant, kinematics, calibration):
    state = plant.reset(seed=3)
    hand = kinematics.forward(state.joint_positions).position
    assert calibration.to_sim(hand) == pytest.approx(plant.data.body("hand").xpos, abs=1e-6)
