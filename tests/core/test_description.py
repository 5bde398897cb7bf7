"""The robot description: against the datasheet, and through two independent URDF readers."""

import dataclasses

import mujoco
import numpy as np
import pinocchio
import pytest

from legion_core.description import MODES, load_description, parse_urdf
from legion_core.errors import DescriptionError

RANGE_DEG = (170, 120, 170, 120, 170, 120, 175)
VELOCITY_DEG = (98, 98, 100, 130, 140, 180, 180)


@pytest.fixture(scope="module")
def description():
    return load_description()


def test_limits_are_those_of_the_datasheet(description):
    joints = [description.joint(name) for name in description.arm_joints]
    assert np.degrees([j.upper for j in joints]) == pytest.approx(RANGE_DEG)
    assert np.degrees([j.lower for j in joints]) == pytest.approx(np.negative(RANGE_DEG))
    assert np.degrees([j.velocity for j in joints]) == pytest.approx(VELOCITY_DEG)


def test_arm_stands_1_266_m_tall_and_weighs_23_9_kg(description):
    joints = [*(description.joint(n) for n in description.arm_joints), description.joint("lbr_ee_joint")]
    assert sum(j.xyz[2] for j in joints) == pytest.approx(1.266)
    assert sum(description.link(f"lbr_link_{i}").mass for i in range(8)) == pytest.approx(23.9, abs=0.01)


def test_the_iiwa_14_is_another_table_of_numbers():
    description = load_description("iiwa14_r820")
    joints = [description.joint(name) for name in description.arm_joints]
    assert np.degrees([j.velocity for j in joints]) == pytest.approx((85, 85, 100, 75, 130, 135, 135))
    assert np.degrees([j.upper for j in joints]) == pytest.approx(RANGE_DEG)
    assert [j.effort for j in joints] == [320, 320, 176, 176, 110, 40, 40]
    heights = np.cumsum([*(j.xyz[2] for j in joints), description.joint("lbr_ee_joint").xyz[2]])
    assert heights[[1, 3, 5, 7]] == pytest.approx((0.36, 0.78, 1.18, 1.306)), "shoulder, elbow, wrist, flange"
    assert sum(description.link(f"lbr_link_{i}").mass for i in range(8)) == pytest.approx(29.9, abs=0.01)


@pytest.mark.parametrize("model", ["iiwa7_r800", "iiwa14_r820"])
def test_every_body_can_be_seen_and_touched(model):
    for name, link in load_description(model).links.items():
        if link.mass > 0:
            assert link.visuals and link.collisions, name
            assert np.linalg.eigvalsh(link.inertia).min() > 0, name


def test_home_pose_gives_the_hand_meta_worlds_orientation(description):
    model = pinocchio.buildModelFromXML(description.urdf)
    data = model.createData()
    q = pinocchio.neutral(model)
    for joint, angle in (("lbr_A2", 0.6), ("lbr_A4", -1.4), ("lbr_A6", np.pi - 2.0)):
        q[model.joints[model.getJointId(joint)].idx_q] = angle
    pinocchio.framesForwardKinematics(model, data, q)
    base = pinocchio.utils.rotate("z", np.radians(142))
    hand = pinocchio.Quaternion(base @ data.oMf[model.getFrameId("lbr_hand")].rotation)
    assert abs(hand.dot(pinocchio.Quaternion(np.sqrt(0.5), 0, np.sqrt(0.5), 0))) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["iiwa7_r800", "iiwa14_r820"])
def test_every_mode_is_read_alike_by_pinocchio_and_mujoco(model, mode):
    urdf = load_description(model, mode=mode).urdf
    arm = pinocchio.buildModelFromXML(urdf)
    simulated = mujoco.MjModel.from_xml_string(urdf)
    assert arm.nq == simulated.nq == 9
    for i in range(simulated.njnt):
        j = arm.joints[arm.getJointId(simulated.joint(i).name)].idx_q
        limits = (arm.lowerPositionLimit[j], arm.upperPositionLimit[j])
        assert simulated.jnt_range[i] == pytest.approx(limits, abs=1e-9)


def test_robot_name_prefixes_everything_but_the_world():
    description = load_description(robot_name="left")
    assert all(name.startswith("left_") for name in [*description.links, *description.joints] if name != "world")
    assert description.arm_joints[0] == "left_A1"


def test_ros2_control_lists_every_arm_joint_in_every_mode():
    for mode in MODES:
        text = load_description(mode=mode).urdf
        control = text[text.index("<ros2_control") :]
        assert all(f'<joint name="lbr_A{i}">' in control for i in range(1, 8))
        assert control.count("<plugin>") == 1


def test_unknown_names_are_refused_with_the_allowed_ones(description):
    with pytest.raises(DescriptionError, match="unknown mode 'moon'; allowed: mock, gazebo, hardware"):
        load_description(mode="moon")
    with pytest.raises(DescriptionError, match="unknown robot model 'ur5'"):
        load_description("ur5")
    with pytest.raises(DescriptionError, match=r"unknown joint 'lbr_A8' .*; allowed: .*lbr_A7"):
        description.joint("lbr_A8")
    with pytest.raises(DescriptionError, match="unknown link"):
        description.link("elbow")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</robot>", "", "not valid XML"),
        ('value="3.394011"', 'value="heavy"', "<mass> value = 'heavy'; expected 1 number"),
        ('value="3.394011"', 'value="nan"', "expected 1 number"),
        ('<mass value="3.394011"/>', "", "lbr_link_1: <inertial> lacks <mass>"),
        ('type="revolute"', 'type="planar"', "unknown type 'planar'; allowed: fixed, revolute, prismatic"),
        ('name="lbr_A7" type="revolute"', 'name="wrist" type="revolute"', "unknown joint 'lbr_A7'"),
        ('<parent link="lbr_link_3"/>', '<parent link="nowhere"/>', "unknown link 'nowhere'"),
        ("<sphere", "<mesh", "must be one of box, cylinder, sphere, found mesh"),
        ('xyz="0 -0.034819 0.123299"', 'xyz="0 0"', "xyz = '0 0'; expected 3 numbers"),
    ],
)
def test_broken_urdf_is_refused(description, old, new, message):
    assert old in description.urdf
    with pytest.raises(DescriptionError, match=message):
        parse_urdf(description.urdf.replace(old, new), description.arm_joints)


def test_descriptions_are_cached_and_immutable(description):
    assert load_description() is description
    with pytest.raises(dataclasses.FrozenInstanceError):
        description.link("lbr_link_1").mass = 0.0
