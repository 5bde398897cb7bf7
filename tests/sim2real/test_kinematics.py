"""Kinematics against MuJoCo, which reads the same URDF with independent code, and against finite differences."""

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from legion_core.description import load_description
from legion_core.errors import DescriptionError
from legion_sim2real.kinematics import ArmKinematics, Pose, damped_least_squares

CONFIGURATIONS = 1000


@pytest.fixture(scope="module")
def description():
    return load_description()


@pytest.fixture(scope="module")
def urdf_model(description):
    """MuJoCo's own compilation of the URDF; bodies kept apart, so that each link can be compared."""
    options = '<mujoco><compiler fusestatic="false" balanceinertia="false"/></mujoco>'
    return mujoco.MjModel.from_xml_string(description.urdf.replace("</robot>", f"{options}</robot>"))


def random_joints(kinematics, count, seed=0):
    return np.random.default_rng(seed).uniform(kinematics.lower, kinematics.upper, (count, 7))


def angle_between(a, b):
    return Rotation.from_matrix(a.T @ b).magnitude()


def assert_same_poses(kinematics, poses):
    for q, (position, rotation) in poses:
        pose = kinematics.forward(q)
        assert np.linalg.norm(pose.position - position) < 1e-6
        assert angle_between(pose.rotation, rotation) < 1e-6


def test_forward_agrees_with_mujocos_urdf_reader(kinematics, urdf_model):
    data = mujoco.MjData(urdf_model)
    address = [urdf_model.joint(f"lbr_A{i}").qposadr[0] for i in range(1, 8)]

    def poses():
        for q in random_joints(kinematics, CONFIGURATIONS):
            data.qpos[address] = q
            mujoco.mj_kinematics(urdf_model, data)
            body = data.body("lbr_hand")
            yield q, (body.xpos, body.xmat.reshape(3, 3))

    assert_same_poses(kinematics, poses())


def test_masses_and_inertias_agree_with_mujocos_urdf_reader(description, urdf_model):
    for name, link in description.links.items():
        if name == "world":
            continue
        body = urdf_model.body(name)
        principal = Rotation.from_quat(np.roll(body.iquat, -1)).as_matrix()
        inertia = principal @ np.diag(body.inertia) @ principal.T
        assert body.mass[0] == pytest.approx(link.mass, abs=1e-9), name
        assert inertia == pytest.approx(link.inertia, abs=1e-9), name
        if link.mass:
            assert body.ipos == pytest.approx(link.com, abs=1e-9), name


def test_jacobian_is_the_derivative_of_forward(kinematics):
    step = 1e-7
    for q in random_joints(kinematics, 20):
        pose, jacobian = kinematics.forward_and_jacobian(q)
        for i in range(7):
            ahead = kinematics.forward(q + step * np.eye(7)[i])
            twist = np.r_[ahead.position - pose.position, kinematics.rotation_error(ahead.rotation, pose.rotation)]
            assert twist / step == pytest.approx(jacobian[:, i], abs=1e-5)


def test_inverse_comes_back_to_where_forward_went(kinematics, home):
    rng = np.random.default_rng(1)
    for _ in range(30):
        target = kinematics.forward(home + rng.uniform(-0.4, 0.4, 7))
        found = kinematics.forward(kinematics.inverse(target, home, home))
        assert np.linalg.norm(found.position - target.position) < 1e-4
        assert angle_between(found.rotation, target.rotation) < 1e-4


def test_inverse_stays_within_the_limits_when_the_target_is_out_of_reach(kinematics, home):
    q = kinematics.inverse(Pose(np.array([2.0, 0.0, 0.5]), np.eye(3)), home)
    assert (q >= kinematics.lower).all() and (q <= kinematics.upper).all()


def test_null_space_motion_leaves_the_hand_where_it_is(kinematics, home):
    jacobian = kinematics.jacobian(home)
    velocity = damped_least_squares(jacobian, np.zeros(6), np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])).velocity
    assert np.abs(velocity).max() > 0.1
    assert jacobian @ velocity == pytest.approx(np.zeros(6), abs=1e-9)


def test_damping_bounds_the_velocity_at_a_singularity(kinematics):
    jacobian = kinematics.jacobian(np.array([0.0, 0.5, 0.0, -0.02, 0.0, 1.0, 0.0]))
    worst, values, _ = np.linalg.svd(jacobian)
    step = damped_least_squares(jacobian, worst[:, -1], np.zeros(7), threshold=0.1, max_damping=0.1)
    assert step.smallest_singular_value == pytest.approx(values[-1], rel=1e-3)
    assert 1.0 / values[-1] > 20.0
    assert np.linalg.norm(step.velocity) <= 1.0 / (2 * 0.09)


def test_damping_costs_nothing_away_from_singularities(kinematics, home):
    jacobian = kinematics.jacobian(home)
    twist = np.array([0.1, -0.2, 0.05, 0.0, 0.1, 0.0])
    assert jacobian @ damped_least_squares(jacobian, twist, np.zeros(7)).velocity == pytest.approx(twist, abs=1e-8)


def test_manipulability_vanishes_where_the_arm_is_stretched(kinematics, home):
    assert kinematics.manipulability(np.zeros(7)) == pytest.approx(0, abs=1e-6)
    assert kinematics.manipulability(home) > 0.01


def test_smallest_singular_value_is_that_which_the_solver_meets(kinematics, home):
    assert kinematics.smallest_singular_value(np.zeros(7)) == pytest.approx(0, abs=1e-6)
    for q in (home, *random_joints(kinematics, 20)):
        step = damped_least_squares(kinematics.jacobian(q), np.zeros(6), np.zeros(7))
        assert kinematics.smallest_singular_value(q) == pytest.approx(step.smallest_singular_value, abs=1e-6)


def test_joint_margin_is_that_of_the_joint_nearest_to_an_end(kinematics):
    assert kinematics.joint_margin(np.zeros(7)) == pytest.approx(np.radians(120))
    q = kinematics.upper * 0.5
    q[3] = kinematics.lower[3] + 0.02
    assert kinematics.joint_margin(q) == pytest.approx(0.02)
    q[5] = kinematics.upper[5] + 0.01
    assert kinematics.joint_margin(q) == pytest.approx(-0.01)


def test_tool_length_and_limits_come_from_the_description(kinematics, description):
    assert kinematics.tool_length == pytest.approx(0.045)
    assert kinematics.velocity == pytest.approx([description.joint(n).velocity for n in description.arm_joints])


def test_unknown_tip_is_refused(description):
    with pytest.raises(DescriptionError, match=r"unknown link 'thumb'; allowed: .*lbr_hand"):
        ArmKinematics(description, tip="thumb")
