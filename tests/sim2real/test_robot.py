"""Robot profiles: what ships loads, and what is wrong is refused by name."""

import dataclasses

import pytest
import yaml

from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_core.spaces import ObservationSpec
from legion_sim2real.robot import load_profile, profile_names


def test_three_robots_ship():
    assert profile_names() == ("gazebo", "lbr", "mujoco")


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
    assert (profile.base_frame, profile.hand_frame) == ("lbr_link_0", "lbr_hand")
    assert profile.command_rate_hz == profile.rate_hz == 50.0
    assert load_profile("lbr").command_rate_hz == 100.0


def test_unknown_robot_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="unknown robot 'ur5'; allowed: gazebo, lbr, mujoco"):
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
            "command_interface = 'effort'; allowed: forward_position_controller, joint_traj",
        ),
        ("sync", "sometimes", "sync = 'sometimes'; allowed: exact, latest"),
        ("colour", "orange", "unknown key 'colour'; allowed: model"),
        ("topics", {"joint_states": "x"}, "topics: missing position_command, trajectory_command"),
        ("sim2real", {"speed_scale": 1.0}, "sim2real: missing leash_m"),
    ],
)
def test_malformed_profile_is_refused_by_name(tmp_path, key, value, message):
    data = yaml.safe_load(resource("config/robots/mujoco.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**data, key: value}))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_profile(str(path))
    assert str(path) in str(caught.value)


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
