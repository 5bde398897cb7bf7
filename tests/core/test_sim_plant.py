"""The simulated robot: its clock, its frames, its servos, and the arm it is built as."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from legion_core.config import load_yaml
from legion_core.description import load_description, parse_urdf
from legion_core.embodiment import Embodiment
from legion_core.errors import SimulationError, SpaceError, TaskError
from legion_core.resources import resource
from legion_core.sim import BASE_POSITION_M, BASE_YAW_RAD, RobotPlant
from legion_core.sim.placement import iiwa7
from legion_core.sim.plant import RESET_GAP_S
from legion_core.sim.rendering import OffscreenRenderer


@pytest.fixture(scope="module")
def plant() -> RobotPlant:
    return RobotPlant("push", seed=0)


def test_time_runs_on_over_resets_and_tasks(plant: RobotPlant) -> None:
    stamps = [plant.state().time_s]
    for task in ("push", "drawer-close", "push"):
        stamps.append(plant.reset(task, seed=1).time_s)
        stamps += [plant.step(plant.state().joint_positions, 0.0).time_s for _ in range(2)]
    steps = np.diff(stamps)
    np.testing.assert_allclose(steps, [RESET_GAP_S, 0.02, 0.02] * 3)


def test_a_scene_is_built_once(plant: RobotPlant) -> None:
    plant.reset("push", seed=1)
    model = plant.model
    plant.reset("reach")
    assert plant.model is not model and plant.task == "reach"
    plant.reset("push")
    assert plant.model is model


def test_state_is_in_the_base_frame(plant: RobotPlant) -> None:
    state = plant.reset("push", seed=3)
    base = plant.data.body("lbr_link_0")
    rotation = base.xmat.reshape(3, 3)
    seen = plant.scene.task_state()
    np.testing.assert_allclose(state.object_position, rotation.T @ (seen.object - base.xpos), atol=1e-12)
    np.testing.assert_allclose(state.goal_position, rotation.T @ (seen.goal - base.xpos), atol=1e-12)
    expected, relative = np.zeros(4), rotation.T @ plant.data.body("obj").xmat.reshape(3, 3)
    mujoco.mju_mat2Quat(expected, relative.ravel())
    assert abs(expected[[1, 2, 3, 0]] @ state.object_quaternion) == pytest.approx(1.0)
    assert state.object2_position is None


def test_placement_is_the_models(plant: RobotPlant) -> None:
    base = plant.data.body("lbr_link_0")
    np.testing.assert_allclose(base.xpos, BASE_POSITION_M)
    assert np.arctan2(base.xmat[3], base.xmat[0]) == pytest.approx(BASE_YAW_RAD)
    np.testing.assert_allclose(plant.robot.to_sim(plant.robot.to_world(np.array([0.1, 0.7, 0.2]))), [0.1, 0.7, 0.2])


def test_servos_reach_their_command_behind_a_lag() -> None:
    plant, slower = RobotPlant("reach", seed=0), RobotPlant("reach", seed=0, robot_lag_s=0.2)
    start = plant.state().joint_positions
    command = start + np.radians([5, -5, 5, 5, 5, -5, 5])
    first, first_slower = plant.step(command, -1.0).joint_positions, slower.step(command, -1.0).joint_positions
    assert (np.abs(first_slower - start) < np.abs(first - start)).all()
    for _ in range(60):
        state = plant.step(command, -1.0)
    np.testing.assert_allclose(state.joint_positions, command, atol=np.radians(0.3))
    assert np.abs(state.joint_velocities).max() < 0.02


def test_holds_against_gravity_and_reports_efforts() -> None:
    plant = RobotPlant("reach", seed=0)
    start = plant.state().joint_positions
    for _ in range(25):
        state = plant.step(start, -1.0)
    np.testing.assert_allclose(state.joint_positions, start, atol=1e-3)
    assert np.abs(state.joint_efforts).max() < 2.0


def test_gripper_closes_and_opens(plant: RobotPlant) -> None:
    joints = plant.reset("reach", seed=0).joint_positions
    closed = [plant.step(joints, 1.0).gripper_opening for _ in range(15)][-1]
    opened = [plant.step(joints, -1.0).gripper_opening for _ in range(15)][-1]
    assert closed < 0.35 and opened > 0.95


def test_counts_steps_and_reports_reward(plant: RobotPlant) -> None:
    joints = plant.reset("reach", seed=0).joint_positions
    plant.step(joints, 0.0)
    assert plant.steps == 1 and plant.reward > 0 and plant.success is False
    plant.reset()
    assert plant.steps == 0


@pytest.mark.parametrize(
    ("command", "gripper"), [(np.zeros(6), 0.0), (np.full(7, np.nan), 0.0), (np.zeros(7), float("inf"))]
)
def test_bad_commands_are_refused(plant: RobotPlant, command: np.ndarray, gripper: float) -> None:
    with pytest.raises(SpaceError, match="7 finite"):
        plant.step(command, gripper)


def test_bad_settings_are_refused(plant: RobotPlant) -> None:
    with pytest.raises(TaskError, match="window-open"):
        plant.reset("fly")
    assert plant.task != "fly"
    with pytest.raises(SimulationError, match="positive multiple"):
        RobotPlant("reach", period_s=0.011)
    with pytest.raises(SimulationError, match="zero or more"):
        RobotPlant("reach", robot_lag_s=-1.0)


def test_picture_or_one_clear_error(plant: RobotPlant, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        image = plant.render(160, 120)
    except SimulationError as error:
        assert "libegl1" in str(error)
    else:
        assert image.shape == (120, 160, 3) and image.dtype == np.uint8 and image.std() > 10
    finally:
        plant.close()
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(SimulationError, match="egl, osmesa"):
        OffscreenRenderer(plant.model).render(plant.data, 10, 10)
    with pytest.raises(SimulationError, match="1920"):
        OffscreenRenderer(plant.model).render(plant.data, 10000, 10)


def test_the_robot_side_knows_where_the_base_stands() -> None:
    calibration = load_yaml(resource("config/calibration_mujoco.yaml"))
    assert tuple(calibration["translation_m"]) == BASE_POSITION_M
    assert np.radians(calibration["rotation_rpy_deg"]) == pytest.approx([0, 0, BASE_YAW_RAD])
    assert load_yaml(resource("config/safety_mujoco.yaml"))["table_height_m"] == -BASE_POSITION_M[2]


IIWA14 = Embodiment(load_description("iiwa14_r820"), "lbr_hand", (0.45, 0.30, 0.20), np.radians(140.0))


def test_another_arm_stands_where_it_is_put() -> None:
    plant = RobotPlant("reach", seed=0, robot=IIWA14)
    base = plant.data.body("lbr_link_0")
    np.testing.assert_allclose(base.xpos, IIWA14.base_position_m)
    rotation = base.xmat.reshape(3, 3)
    np.testing.assert_allclose(rotation, IIWA14.base_rotation, atol=1e-12)
    goal = plant.scene.task_state().goal
    np.testing.assert_allclose(plant.state().goal_position, rotation.T @ (goal - base.xpos), atol=1e-12)
    np.testing.assert_allclose(IIWA14.to_sim(IIWA14.to_world(goal)), goal)
    hand = plant.data.body("hand").xpos.copy()
    assert hand == pytest.approx(plant.scene.hand_init_pos, abs=0.01), "it starts with its hand where every arm does"
    for _ in range(25):
        state = plant.step(plant.state().joint_positions, -1.0)
    assert np.abs(state.joint_velocities).max() < 0.02


def test_a_hand_without_two_fingers_cannot_be_simulated() -> None:
    with pytest.raises(SimulationError, match="lbr_link_7 has 0 sliding fingers; the simulator needs two"):
        RobotPlant("reach", robot=dataclasses.replace(IIWA14, hand="lbr_link_7"))


def test_a_base_with_a_body_cannot_be_simulated() -> None:
    urdf = IIWA14.description.urdf.replace(
        '<link name="world"/>',
        '<link name="world"><inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/>'
        "</inertial></link>",
    )
    heavy = parse_urdf(urdf, IIWA14.description.arm_joints)
    with pytest.raises(SimulationError, match="world has a mass"):
        RobotPlant("reach", robot=dataclasses.replace(IIWA14, description=heavy))


@pytest.mark.parametrize("robot", [iiwa7(), IIWA14], ids=["iiwa7", "iiwa14"])
def test_arm_has_the_masses_inertias_and_limits_of_the_description(robot: Embodiment) -> None:
    description, model = robot.description, RobotPlant("reach", robot=robot).model
    for i in range(8):
        link, body = description.link(f"lbr_link_{i}"), model.body(f"lbr_link_{i}")
        axes = np.zeros(9)
        mujoco.mju_quat2Mat(axes, body.iquat)
        tensor = axes.reshape(3, 3) @ np.diag(body.inertia) @ axes.reshape(3, 3).T
        assert body.mass[0] == pytest.approx(link.mass)
        np.testing.assert_allclose(body.ipos, link.com, atol=1e-9)
        np.testing.assert_allclose(tensor, link.inertia, atol=1e-7)
    for i, name in enumerate(description.arm_joints):
        joint = description.joint(name)
        np.testing.assert_allclose(model.joint(name).range, (joint.lower, joint.upper))
        assert model.joint(name).qposadr[0] == i and model.joint(name).damping[0] == joint.damping
