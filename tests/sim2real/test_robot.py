"""Robot profiles: what ships loads, and what is wrong is refused by name."""

import dataclasses
import re
import typing
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import ConfigurationError, DescriptionError
from legion_core.resources import resource
from legion_core.spaces import ObservationSpec
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.robot import Gripper, RobotProfile, load_profile, profile_names


def test_the_robots_that_ship():
    assert profile_names() == ("gazebo", "iiwa14_lbr", "iiwa14_mujoco", "lbr", "mujoco", "mujoco_gap")


def assert_refused(path, changes, message):
    """The simulated robot's profile with `changes` is refused by an error that names its file."""
    data = yaml.safe_load(resource("config/robots/mujoco.yaml").read_text())
    path.write_text(yaml.safe_dump({**data, **changes}))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_profile(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["gazebo", "mujoco"])
def test_simulated_robots_need_nothing_from_the_operator(name):
    profile = load_profile(name)
    profile.make_sim2real()
    assert profile.make_real2sim(ObservationSpec()).spec.size == 13


def test_real_robot_needs_a_calibration_of_its_own(tmp_path):
    profile = load_profile("lbr")
    with pytest.raises(ConfigurationError, match="calibration = None; a real robot needs its own"):
        profile.make_sim2real()
    calibrated = dataclasses.replace(profile, calibration=str(resource("config/calibration_mujoco.yaml")))
    assert calibrated.make_sim2real().guard.limits.max_speed_m_s <= 0.25


def test_files_of_a_profile_may_lie_beside_it(tmp_path):
    settings = yaml.safe_load(resource("config/robots/lbr.yaml").read_text())
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump({**settings, "calibration": "table.yaml", "safety": "cell.yaml"}))
    (tmp_path / "table.yaml").write_text(resource("config/calibration_mujoco.yaml").read_text())
    limits = yaml.safe_load(resource("config/safety.yaml").read_text())
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump({**limits, "max_speed_m_s": 0.07}))
    assert load_profile(str(tmp_path / "arm.yaml")).make_sim2real().guard.limits.max_speed_m_s == 0.07


def test_names_follow_the_drivers(profile):
    assert profile.joint_names == tuple(f"lbr_A{i}" for i in range(1, 8))
    assert (profile.frames.base, profile.frames.hand) == ("lbr_link_0", "lbr_hand")
    assert profile.command_rate_hz == profile.rate_hz == 50.0
    assert load_profile("lbr").command_rate_hz == 100.0


def test_unknown_robot_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigurationError, match="unknown robot 'ur5'; allowed: gazebo, iiwa14_lbr, iiwa14_mujoco, lbr, mujoco"
    ):
        load_profile("ur5")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rate_hz", 0.0, "rate_hz = 0.0; allowed: 1 to 200"),
        ("rate_hz", "fast", "rate_hz = 'fast'; expected float"),
        ("interpolation_rate_hz", 5.0, "interpolation_rate_hz = 5.0; allowed: rate_hz"),
        (
            "command_interface",
            "effort",
            "command_interface = 'effort'; allowed: forward_position, joint_trajectory, cartesian",
        ),
        ("sync", "sometimes", "sync = 'sometimes'; allowed: exact, latest"),
        ("colour", "orange", "unknown key 'colour'; allowed: model"),
        (
            "topics",
            {"joint_states": "x"},
            "topics: missing position_command, trajectory_command, hand_pose, pose_command",
        ),
        ("sim2real", {"speed_scale": 1.0}, "sim2real: missing leash_m"),
    ],
)
def test_malformed_profile_is_refused_by_name(tmp_path, key, value, message):
    assert_refused(tmp_path / "mine.yaml", {key: value}, message)


def test_missing_files_are_named(profile):
    with pytest.raises(ConfigurationError, match=r"config/nowhere.yaml not found"):
        dataclasses.replace(profile, safety="nowhere.yaml").make_sim2real()
    with pytest.raises(ConfigurationError, match=r"cannot read /nowhere.yaml"):
        dataclasses.replace(profile, calibration="/nowhere.yaml").make_sim2real()
    with pytest.raises(ConfigurationError, match=r"cannot read absent.yaml"):
        load_profile("absent.yaml")


def test_timeouts_must_fit_the_rates(profile):
    with pytest.raises(ConfigurationError, match=r"action_timeout_s = 0.08; allowed: at least 0.150"):
        dataclasses.replace(profile, rate_hz=10.0).load_safety()


def nested(key, **changes):
    data = yaml.safe_load(resource("config/robots/mujoco.yaml").read_text())
    return {**data[key], **changes}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("driver", "kuka", "driver = 'kuka'; allowed: mujoco, gazebo, ros2_control"),
        ("driver", "ros2_control", "sync = 'exact'; allowed: latest, as a ros2_control robot"),
        ("input", "torque", "input = 'torque'; allowed: joint, cartesian"),
        ("input", "cartesian", "command_interface = 'forward_position'; allowed: cartesian"),
        ("joint_names", ["a"] * 7, "joint_names = .*; allowed: 7 names, each once"),
        ("joint_names", ["a", "b"], "joint_names = .*; expected 7 values"),
        ("camera", "eye.yaml", "camera = 'eye.yaml'; allowed: a file where frames.camera"),
        ("frames", nested("frames", hand=""), "frames: hand = ''; allowed: the name of a frame"),
        ("frames", nested("frames", hand="lbr_tcp"), "frames: frames = .*; allowed: different frames"),
        ("frames", nested("frames", camera="eye"), "camera = None; allowed: a file where frames.camera"),
        ("topics", nested("topics", hand_pose="a b"), "topics: hand_pose = 'a b'; allowed: the name of a topic"),
        ("topics", nested("topics", hand_pose="lbr/joint_states"), "topics = .*; allowed: different topics"),
        ("controllers", nested("controllers", cartesian="a/b"), "cartesian = 'a/b'; allowed: the name of a controller"),
        ("gripper", nested("gripper", joints=[]), "gripper: joints = .*; allowed: at least one name"),
        ("gripper", nested("gripper", open=[1.0, 2.0]), r"gripper: open = \(1.0, 2.0\); allowed: 1 finite number"),
        ("gripper", nested("gripper", open=[0.0]), r"gripper: closed = \(0.0,\); allowed: another position"),
        ("gripper", nested("gripper", command_open=[]), "gripper: command_open = .*; allowed: at least one number"),
        ("gripper", nested("gripper", command_closed=[-1.0]), "gripper: command_closed = .*; allowed: another command"),
        ("gripper", nested("gripper", command_open=[float("nan")]), "command_open = .*; allowed: 1 finite number"),
        ("gripper", nested("gripper", state="legion/gripper/command"), "state = .*; allowed: another topic"),
    ],
)
def test_nonsense_is_refused_with_what_is_allowed(tmp_path, key, value, message):
    assert_refused(tmp_path / "mine.yaml", {key: value}, message)


@pytest.mark.parametrize("key", ["base", "hand", "tool"])
def test_frames_must_be_links_of_the_model(profile, key):
    frames = dataclasses.replace(profile.frames, **{key: "elbow"})
    with pytest.raises(DescriptionError, match=f"unknown frames.{key} 'elbow'; allowed: .*lbr_link_3"):
        dataclasses.replace(profile, frames=frames).kinematics()


def test_the_base_must_be_where_kinematics_begin(profile):
    frames = dataclasses.replace(profile.frames, base="lbr_link_1")
    with pytest.raises(DescriptionError, match=r"frames.base = 'lbr_link_1'; allowed: a link at the origin"):
        dataclasses.replace(profile, frames=frames).kinematics()


def test_joints_must_be_joints_of_the_model(profile):
    names = ("elbow", *profile.joint_names[1:])
    with pytest.raises(DescriptionError, match=r"unknown joint 'elbow'; allowed: .*lbr_A1"):
        dataclasses.replace(profile, joint_names=names).kinematics()


def test_the_model_may_be_a_plain_urdf_beside_the_profile_with_names_of_its_own(tmp_path, profile):
    text = profile.description().urdf
    for i in range(1, 8):
        text = text.replace(f"lbr_A{i}", f"arm_joint_{i}")
    (tmp_path / "arm.urdf").write_text(text)
    data = yaml.safe_load(resource("config/robots/mujoco.yaml").read_text())
    names = [f"arm_joint_{i}" for i in range(1, 8)]
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump({**data, "model": "arm.urdf", "joint_names": names}))
    mine = load_profile(str(tmp_path / "arm.yaml")).kinematics()
    q = np.linspace(-0.5, 0.5, 7)
    np.testing.assert_allclose(mine.forward(q).position, profile.kinematics().forward(q).position, atol=1e-12)


def test_the_controller_is_that_of_the_command_interface():
    profile = load_profile("lbr")
    assert profile.controller == "forward_position_controller"
    assert (
        dataclasses.replace(profile, command_interface="joint_trajectory").controller == "joint_trajectory_controller"
    )
    assert dataclasses.replace(profile, command_interface="cartesian").controller is None


numbers = st.floats(-100, 100).map(lambda x: round(x, 3))


@st.composite
def grippers(draw):
    joints = draw(st.integers(1, 4))
    width = draw(st.integers(1, 3))
    closed = draw(st.lists(numbers, min_size=joints, max_size=joints))
    travel = draw(st.lists(st.sampled_from([-30.0, -0.04, 0.5, 70.0]), min_size=joints, max_size=joints))
    command = draw(st.lists(numbers, min_size=width, max_size=width))
    return Gripper(
        command="gripper/command",
        state="gripper/state",
        joints=tuple(f"finger_{i}" for i in range(joints)),
        open=tuple(a + b for a, b in zip(closed, travel, strict=True)),
        closed=tuple(closed),
        command_open=tuple(command),
        command_closed=(command[0] + draw(st.sampled_from([-20.0, 0.08, 3.0])), *command[1:]),
    )


@given(grippers(), st.floats(0, 1), st.floats(-1, 1))
def test_openings_and_commands_come_back_from_the_grippers_own_units(gripper, opening, command):
    assert gripper.opening(gripper.positions(opening)) == pytest.approx(opening, abs=1e-9)
    assert gripper.wanted(gripper.commanded(command)) == pytest.approx(command, abs=1e-9)
    assert gripper.commanded(-1.0) == pytest.approx(gripper.command_open)
    assert gripper.commanded(1.0) == pytest.approx(gripper.command_closed)


@given(grippers(), st.floats(-10, 10), st.floats(-10, 10))
def test_openings_and_commands_stay_within_their_ends(gripper, opening, command):
    assert 0.0 <= gripper.opening(gripper.positions(opening)) <= 1.0
    low, high = np.sort([gripper.command_open, gripper.command_closed], axis=0)
    assert (gripper.commanded(command) >= low - 1e-9).all() and (gripper.commanded(command) <= high + 1e-9).all()


@given(st.floats(0, 1), st.floats(-1, 1))
def test_the_simulators_gripper_speaks_the_policys_own_numbers(opening, command):
    gripper = load_profile("mujoco").gripper
    assert gripper.positions(opening).tolist() == [opening] and gripper.opening(np.array([opening])) == opening
    assert gripper.commanded(command).tolist() == [command] and gripper.wanted(np.array([command])) == command


def keys_of(kind):
    """The YAML keys of a dataclass and of the dataclasses in it."""
    for field in dataclasses.fields(kind):
        yield field.name
        hint = typing.get_type_hints(kind)[field.name]
        for inner in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(inner):
                yield from keys_of(inner)


def test_the_guide_explains_every_key_and_no_other():
    text = (Path(__file__).parents[2] / "docs" / "own_robot.md").read_text(encoding="utf-8")
    keys = {key for kind in (RobotProfile, SafetyLimits) for key in keys_of(kind)}
    words = set(re.findall(r"`([a-z0-9_]+)`", text))
    assert not keys - words, "not explained"
    explained = {key for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert not explained - keys, "explained, but there is no such key"
