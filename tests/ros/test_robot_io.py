"""Both ends of the robot's topics, as its profile says."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from legion_core.errors import SpaceError
from legion_ros.qos import SENSOR
from legion_ros.robot_io import CommandInput, CommandOutput, PoseReader, RobotInput, gripper_input, pose_input
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import float64_array, named_vector, pose_message, trajectory_message
from legion_sim2real.calibration import rotation_from_rpy
from legion_sim2real.camera import CameraCalibration, quaternion_from_rotation
from legion_sim2real.robot import Gripper, RobotProfile, load_profile

PROFILE = load_profile("mujoco")
JOINTS, TOPICS = PROFILE.joint_names, PROFILE.topics
HOME = np.array(PROFILE.sim2real.posture_rad)
CARTESIAN = dataclasses.replace(PROFILE, input="cartesian", command_interface="cartesian")
FORCEFUL = Gripper(
    command="hand/command",
    state="hand/joint_states",
    joints=("left", "right"),
    open=(0.04, -0.04),
    closed=(0.0, 0.0),
    command_open=(0.08, 20.0),
    command_closed=(0.0, 20.0),
)
CAMERA = CameraCalibration(rotation_from_rpy(2.0, 0.3, -1.2), np.array((0.4, -0.5, 1.1)))


@pytest.fixture(scope="module")
def seen_by_camera(tmp_path_factory: pytest.TempPathFactory) -> RobotProfile:
    """The profile of a robot with a camera."""
    file = tmp_path_factory.mktemp("camera") / "eye.yaml"
    CAMERA.save(file)
    return dataclasses.replace(PROFILE, frames=dataclasses.replace(PROFILE.frames, camera="eye"), camera=str(file))


class Heard:
    """What inputs put, and what they complain of."""

    def __init__(self) -> None:
        self.values: list[tuple[int, np.ndarray]] = []
        self.complaints: list[str] = []

    def put(self, stamp_ns: int, value: np.ndarray) -> None:
        self.values.append((stamp_ns, value))


def listening(bench: Any, make: Any) -> tuple[Any, Heard]:
    """A node with the input that `make(node, put, complain)` makes; the input, and what it hears."""
    heard = Heard()
    node = bench.start(lambda: Node("robot_io"))
    return make(node, heard.put, heard.complaints.append), heard


def test_joints_come_in_any_order_among_others_and_wrong_ones_are_named(bench: Any) -> None:
    _, heard = listening(bench, lambda *rest: RobotInput(rest[0], PROFILE, *rest[1:]))
    say = bench.talk(JointState, TOPICS.joint_states)
    say(named_vector(from_ns(7), ("finger", *JOINTS[::-1]), (9.0, *HOME[::-1])))
    assert bench.until(lambda: heard.values)
    assert heard.values[0][0] == 7 and heard.values[0][1] == pytest.approx(HOME)
    for names, values, complaint in (
        ([f"arm_{i}" for i in range(7)], HOME, "lbr/joint_states lacks lbr_A1"),
        (JOINTS, HOME[:6], "7 names but 6 values"),
        (JOINTS, [*HOME[:6], math.nan], "not a finite number: lbr_A7"),
    ):
        say(named_vector(from_ns(8), names, values))
        assert bench.until(lambda complaint=complaint: any(complaint in text for text in heard.complaints))
    assert len(heard.values) == 1


def test_a_best_effort_driver_is_heard(bench: Any) -> None:
    driven = dataclasses.replace(PROFILE, driver="ros2_control", sync="latest")
    _, heard = listening(bench, lambda *rest: RobotInput(rest[0], driven, *rest[1:]))
    say = bench.talk(JointState, TOPICS.joint_states, SENSOR)
    assert bench.until(lambda: say(named_vector(from_ns(7), JOINTS, HOME)) or bool(heard.values))


def test_a_hands_pose_becomes_joints_that_hold_it(bench: Any) -> None:
    robot, heard = listening(bench, lambda *rest: RobotInput(rest[0], CARTESIAN, *rest[1:]))
    kinematics = CARTESIAN.kinematics()
    aside = HOME + np.array((0.2, 0.1, -0.3, 0.1, 0.2, 0.1, 0.1))
    hand = kinematics.forward(aside)
    robot.follow(aside)
    say = bench.talk(PoseStamped, TOPICS.hand_pose)
    say(pose_message(from_ns(7), "lbr_link_0", hand.position, quaternion_from_rotation(hand.rotation)))
    assert bench.until(lambda: heard.values)
    assert heard.values[0][1] == pytest.approx(aside, abs=1e-6)
    for message, complaint in (
        (pose_message(from_ns(8), "", (3.0, 0.0, 0.0)), "out of the arm's reach"),
        (pose_message(from_ns(8), "", hand.position, (0.0, 0.0, 0.0, 0.0)), "of norm 1"),
        (pose_message(from_ns(8), "map", hand.position), "frame_id = 'map'; allowed: lbr_link_0"),
    ):
        say(message)
        assert bench.until(lambda complaint=complaint: any(complaint in text for text in heard.complaints))
    assert len(heard.values) == 1


def test_a_destroyed_input_is_deaf(bench: Any) -> None:
    robot, _ = listening(bench, lambda *rest: RobotInput(rest[0], PROFILE, *rest[1:]))
    publisher = bench.probe.create_publisher(JointState, TOPICS.joint_states, 10)
    assert bench.until(lambda: publisher.get_subscription_count() == 1)
    robot.destroy()
    assert bench.until(lambda: publisher.get_subscription_count() == 0)


def test_a_gripper_is_read_in_its_own_units(bench: Any) -> None:
    profile = dataclasses.replace(PROFILE, gripper=FORCEFUL)
    _, heard = listening(bench, lambda *rest: gripper_input(rest[0], profile, *rest[1:]))
    bench.talk(JointState, "hand/joint_states")(named_vector(from_ns(7), ("right", "left"), (-0.03, 0.02)))
    assert bench.until(lambda: heard.values)
    assert heard.values[0][1] == pytest.approx([(0.75 + 0.5) / 2])


def test_objects_seen_by_a_camera_are_put_where_they_are(bench: Any, seen_by_camera: RobotProfile) -> None:
    _, heard = listening(bench, lambda *rest: pose_input(rest[0], seen_by_camera, "scene/object", *rest[1:]))
    say = bench.talk(PoseStamped, "scene/object")
    say(pose_message(from_ns(7), "eye", (0.1, 0.2, 0.9)))
    assert bench.until(lambda: heard.values)
    assert heard.values[0][1] == pytest.approx(CAMERA.rotation @ (0.1, 0.2, 0.9) + CAMERA.translation)
    say(pose_message(from_ns(8), "camera", (0.1, 0.2, 0.9)))
    assert bench.until(lambda: heard.complaints)
    assert heard.complaints == ["scene/object: frame_id = 'camera'; allowed: lbr_link_0, eye"]


coordinates = st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(np.array)


@given(position=coordinates, rpy=st.tuples(*(st.floats(-3, 3),) * 3))
def test_poses_in_the_cameras_frame_are_those_of_the_base_moved(
    seen_by_camera: RobotProfile, position: Any, rpy: Any
) -> None:
    reader, rotation = PoseReader(seen_by_camera, "topic"), rotation_from_rpy(*rpy)
    quaternion = quaternion_from_rotation(rotation)
    for frame, turn, shift in (("", np.eye(3), np.zeros(3)), ("eye", CAMERA.rotation, CAMERA.translation)):
        pose = reader.pose(pose_message(Time(), frame, position, quaternion))
        np.testing.assert_allclose(pose.position, turn @ position + shift, atol=1e-12)
        np.testing.assert_allclose(pose.rotation, turn @ rotation, atol=1e-9)


@given(st.text(max_size=20))
def test_any_other_frame_is_refused(frame: str) -> None:
    reader = PoseReader(PROFILE, "topic")
    if frame in ("", "lbr_link_0"):
        assert reader.position(pose_message(Time(), frame, (1.0, 2.0, 3.0))).tolist() == [1.0, 2.0, 3.0]
    else:
        with pytest.raises(SpaceError, match=r"frame_id = .*; allowed: lbr_link_0"):
            reader.position(pose_message(Time(), frame, (1.0, 2.0, 3.0)))


@pytest.mark.parametrize("interface", ["forward_position", "joint_trajectory", "cartesian"])
def test_what_one_end_sends_the_other_receives(bench: Any, interface: Any) -> None:
    profile = dataclasses.replace(PROFILE, command_interface=interface, gripper=FORCEFUL)
    joints: list[Any] = []
    grippers: list[float] = []
    complaints: list[str] = []
    node = bench.start(lambda: Node("robot_io"))
    robot = CommandInput(node, profile, joints.append, grippers.append, complaints.append)
    output = CommandOutput(bench.probe, profile)
    assert bench.until(lambda: node.count_publishers("hand/command") > 0)
    wanted = HOME + 0.05
    robot.restart(wanted)
    assert bench.until(lambda: output.send(wanted, 0.5) or bool(joints and grippers))
    assert joints[0] == pytest.approx(wanted, abs=1e-5)
    assert grippers[0] == pytest.approx(0.5)
    assert not complaints


@pytest.mark.parametrize(
    ("interface", "kind", "topic", "message", "complaint"),
    [
        ("forward_position", Float64MultiArray, TOPICS.position_command, float64_array((1.0,)), "of 1 numbers"),
        ("joint_trajectory", JointTrajectory, TOPICS.trajectory_command, JointTrajectory(), "without a point"),
        (
            "joint_trajectory",
            JointTrajectory,
            TOPICS.trajectory_command,
            trajectory_message(("elbow",), (1.0,), 0.1),
            "lacks lbr_A1",
        ),
        (
            "cartesian",
            PoseStamped,
            TOPICS.pose_command,
            pose_message(Time(), "", (9.0, 0.0, 0.0)),
            "out of the arm's reach",
        ),
    ],
)
def test_commands_that_are_none_are_named(
    bench: Any, interface: Any, kind: Any, topic: str, message: Any, complaint: str
) -> None:
    profile = dataclasses.replace(PROFILE, command_interface=interface)
    obeyed: list[Any] = []
    complaints: list[str] = []
    node = bench.start(lambda: Node("robot_io"))
    CommandInput(node, profile, obeyed.append, obeyed.append, complaints.append)
    bench.talk(kind, topic)(message)
    assert bench.until(lambda: complaints)
    assert complaint in complaints[0]
    bench.talk(Float64MultiArray, profile.gripper.command)(float64_array((math.nan,)))
    assert bench.until(lambda: len(complaints) > 1)
    assert "expected 1, all finite" in complaints[1]
    assert not obeyed


def test_no_command_for_the_gripper_before_there_is_one(bench: Any) -> None:
    bench.start(lambda: Node("robot_io"))
    commands = bench.listen(Float64MultiArray, TOPICS.position_command)
    grippers = bench.listen(Float64MultiArray, PROFILE.gripper.command)
    output = CommandOutput(bench.probe, PROFILE)
    assert bench.until(lambda: output.send(HOME, None) or bool(commands))
    assert not grippers
