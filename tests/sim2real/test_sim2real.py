"""From action to command: motion, starts and stops."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legion_core import config
from legion_core.errors import ConfigurationError
from legion_sim2real.interventions import Intervention
from legion_sim2real.kinematics import Pose
from legion_sim2real.sim2real import HAND_ROTATION, Sim2RealConfig, Status

FORWARD = (0.0, 1.0, 0.0, -1.0)
STILL = (0.0, 0.0, 0.0, 0.0)


def hand_in_sim(kinematics, calibration, joints):
    return calibration.to_sim(kinematics.forward(joints).position)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_hand_moves_where_the_action_points(arm, kinematics, calibration, axis, sign):
    before = hand_in_sim(kinematics, calibration, arm.joints)
    direction = np.zeros(4)
    direction[axis] = 0.5 * sign
    for _ in range(10):
        arm.act(direction)
    for _ in range(20):
        arm.act(STILL)
    moved = hand_in_sim(kinematics, calibration, arm.joints) - before
    expected = np.zeros(3)
    expected[axis] = sign * 0.5 * 0.01 * 7  # of ten steps one starts and five ramp in: 0, .2, .4, .6, .8, then 1
    assert moved == pytest.approx(expected, abs=2e-4)


def test_tool_turns_down_and_stays_down(make_arm, kinematics, calibration, home):
    arm = make_arm(start=home + np.array([0.0, 0.0, 0.1, 0.0, 0.1, 0.2, 0.2]))
    for _ in range(100):
        arm.act(STILL)
    down = calibration.rotation_to_world(HAND_ROTATION)
    for _ in range(30):
        arm.act(FORWARD)
        error = kinematics.rotation_error(down, kinematics.forward(arm.joints).rotation)
        assert np.linalg.norm(error) < 2e-3


@pytest.mark.parametrize("joint", range(7))
def test_hand_that_was_turned_away_comes_back_and_stays(make_arm, kinematics, calibration, home, joint):
    arm = make_arm(start=home + 0.3 * np.eye(7)[joint])
    down = calibration.rotation_to_world(HAND_ROTATION)
    for step in range(160):
        arm.act(STILL)
        error = kinematics.rotation_error(down, kinematics.forward(arm.joints).rotation)
        assert step < 150 or np.linalg.norm(error) < 2e-3


def test_speed_scale_scales_the_displacement(make_arm, profile):
    def moved(speed_scale):
        arm = make_arm(config=dataclasses.replace(profile.sim2real, speed_scale=speed_scale))
        first = arm.act(STILL).target_pose.position
        for _ in range(4):
            command = arm.act((0.0, 0.5, 0.0, 0.0))
        return np.linalg.norm(command.target_pose.position - first)

    assert moved(0.5) == pytest.approx(0.5 * moved(1.0))


def test_target_leads_a_blocked_hand_by_the_leash(make_arm, profile, kinematics):
    arm = make_arm(follow=0.0)
    for _ in range(30):
        command = arm.act(FORWARD)
    lead = np.linalg.norm(command.target_pose.position - kinematics.forward(arm.joints).position)
    assert lead == pytest.approx(profile.sim2real.leash_m)


def follow_share(lag_s, period=0.02):
    return 1.0 - np.exp(-period / lag_s)


def hand_path(arm, kinematics, action, steps):
    return np.array([kinematics.forward(arm.act(action) and arm.joints).position for _ in range(steps)])


@pytest.mark.parametrize("lag_s", [0.04, 0.0675, 0.095])
def test_anticipated_lag_leaves_the_hand_where_a_robot_without_lag_has_it(make_arm, profile, kinematics, lag_s):
    def config(robot_lag_s):
        return dataclasses.replace(profile.sim2real, robot_lag_s=robot_lag_s)

    action = (0.0, 0.5, 0.0, 0.0)
    wanted = hand_path(make_arm(config=config(0.0)), kinematics, action, 40)
    late = hand_path(make_arm(config=config(0.0), follow=follow_share(lag_s)), kinematics, action, 40)
    anticipated = hand_path(make_arm(config=config(lag_s), follow=follow_share(lag_s)), kinematics, action, 40)
    errors = [np.linalg.norm(path - wanted, axis=1).max() for path in (late, anticipated)]
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("lag_s", [0.0, 0.04, 0.0675, 0.095, 0.2])
def test_lagging_robot_comes_to_rest_at_the_target(make_arm, profile, kinematics, lag_s):
    arm = make_arm(
        config=dataclasses.replace(profile.sim2real, robot_lag_s=lag_s), follow=follow_share(max(lag_s, 1e-3))
    )
    for action in [(0.0, 1.0, 0.0, 0.0)] * 15 + [STILL] * 60:
        command = arm.act(action)
    assert kinematics.forward(arm.joints).position == pytest.approx(command.target_pose.position, abs=1e-3)


@settings(max_examples=40)
@given(
    actions=st.lists(st.tuples(*[st.floats(-1, 1)] * 4), min_size=1, max_size=8),
    lag_s=st.floats(0.0, 0.1),
    follow=st.floats(0.0, 1.0),
    hold_every=st.integers(5, 50),
)
def test_target_never_leads_the_measured_hand_by_more_than_the_leash(
    make_arm, profile, kinematics, calibration, actions, lag_s, follow, hold_every
):
    """Whatever the robot does: it follows, lags, is blocked, or is braked in between."""
    arm = make_arm(config=dataclasses.replace(profile.sim2real, robot_lag_s=lag_s), follow=follow)
    for i in range(20 * len(actions)):
        hand = kinematics.forward(arm.joints).position
        command = arm.hold() if i % hold_every == hold_every - 1 else arm.act(actions[i // 20])
        if command.target_pose is not None:
            box = profile.sim2real.hand_low_m, profile.sim2real.hand_high_m
            in_sim = calibration.to_sim(hand)
            outside = np.linalg.norm(np.clip(in_sim, *box) - in_sim)  # from there the target leads back
            lead = np.linalg.norm(command.target_pose.position - hand)
            assert lead <= profile.sim2real.leash_m + outside + 1e-9


@pytest.mark.parametrize("lag_s", [0.0, 0.0675])
def test_released_hand_does_not_leap(make_arm, profile, kinematics, lag_s):
    """An arm that was blocked under a lasting action goes on as fast as it may, not faster."""
    arm = make_arm(config=dataclasses.replace(profile.sim2real, robot_lag_s=lag_s), follow=0.0)
    for _ in range(100):
        arm.act(FORWARD)
    before = kinematics.forward(arm.joints).position
    arm.follow = 1.0
    arm.act(FORWARD)
    assert np.linalg.norm(kinematics.forward(arm.joints).position - before) < profile.sim2real.leash_m + 0.02


def test_target_stays_in_meta_worlds_box(arm, profile, calibration):
    for _ in range(150):
        command = arm.act((0.0, 0.0, -1.0, 0.0))
    target = calibration.to_sim(command.target_pose.position)
    assert target[2] == pytest.approx(profile.sim2real.hand_low_m[2])


def test_first_command_is_the_measured_pose_and_speed_ramps_in(arm, home):
    first = arm.act(FORWARD)
    assert np.array_equal(first.joint_positions, home) and first.status is Status.MOVING
    commands = [arm.act(FORWARD) for _ in range(8)]
    assert all(Intervention.RAMP_IN in command.interventions for command in commands[:4])
    assert Intervention.RAMP_IN not in commands[5].interventions
    steps = np.abs(np.diff([command.joint_positions for command in commands], axis=0)).max(axis=1)
    assert steps[0] < 0.6 * steps[4]


def test_start_within_the_margin_of_a_limit_only_moves_inwards(make_arm, kinematics, home):
    start = home.copy()
    start[6] = kinematics.upper[6] - 0.005
    arm = make_arm(start=start)
    joints = [arm.act(FORWARD).joint_positions[6] for _ in range(30)]
    assert joints[0] == start[6]
    assert (np.diff(joints) <= 0).all() and joints[-1] < start[6]


@pytest.mark.parametrize("interrupt", ["gap", "back", "hold", "stop", "stale", "reset"])
def test_motion_restarts_from_the_measured_pose(arm, interrupt):
    for _ in range(20):
        arm.act(FORWARD)
    period = {"gap": 0.5, "back": -3.0}.get(interrupt, 0.02)
    if interrupt == "hold":
        while arm.hold() and arm.guard.moving:
            pass
    elif interrupt == "stop":
        arm.guard.e_stop()
        while arm.act(FORWARD) and arm.guard.moving:
            pass
        arm.guard.clear_e_stop()
    elif interrupt == "stale":
        while arm.act(FORWARD, stamp=0.0) and arm.guard.moving:
            pass
    elif interrupt == "reset":
        arm.sim2real.reset()
    arm.joints = arm.joints + 0.01
    measured = arm.joints.copy()
    assert np.array_equal(arm.act(FORWARD, period).joint_positions, measured)
    assert Intervention.RAMP_IN in arm.act(FORWARD).interventions


def test_arm_that_does_not_follow_is_restarted_from_where_it_is(make_arm, slow_limits):
    arm = make_arm(dataclasses.replace(slow_limits, max_tracking_error_rad=0.02), follow=0.0)
    seen = []
    for _ in range(200):
        command = arm.act(FORWARD)
        seen.append(Intervention.TRACKING_ERROR in command.interventions)
        assert np.abs(command.joint_positions - arm.joints).max() <= 0.03
        if seen[-1]:
            assert np.array_equal(command.joint_positions, arm.joints)
    assert any(seen)


def test_hold_brakes_within_the_limits_then_stays(make_arm, slow_limits):
    arm = make_arm(slow_limits)
    for _ in range(100):
        before = arm.joints
        arm.act(FORWARD)
    velocity = (arm.joints - before) / 0.02
    assert np.abs(velocity).max() > 0.05
    while arm.guard.moving:
        before = arm.joints
        command = arm.hold()
        assert command.status is Status.HOLDING and command.target_pose is None
        slower = (arm.joints - before) / 0.02
        assert (np.abs(slower) <= np.abs(velocity) + 1e-9).all()
        velocity = slower
    rest = arm.joints
    for _ in range(10):
        assert np.array_equal(arm.hold().joint_positions, rest)


def test_first_hold_is_the_measured_pose(arm, home):
    assert np.array_equal(arm.hold().joint_positions, home)


def test_action_during_braking_waits_for_standstill(arm):
    for _ in range(20):
        arm.act((1.0, 1.0, 0.0, 0.0))
    arm.hold(0.001)
    for _ in range(3):
        assert arm.act(FORWARD, 0.001).status is Status.HOLDING and arm.guard.moving
    while arm.guard.moving:
        arm.act(FORWARD, 0.001)
    assert arm.act(FORWARD, 0.001).status is Status.MOVING


def test_ticks_go_on_towards_the_target_and_stop_when_the_action_is_old(make_arm, profile):
    arm = make_arm(config=dataclasses.replace(profile.sim2real, smoothing_s=0.1))
    for _ in range(20):
        arm.act(FORWARD)
    before = arm.joints
    statuses = [arm.tick(0.01).status for _ in range(12)]
    assert np.abs(arm.joints - before).max() > 1e-3
    assert statuses[0] is Status.MOVING and statuses[-1] is Status.HOLDING
    assert statuses == sorted(statuses, key=lambda s: s is Status.HOLDING)


def test_tick_before_any_action_holds(arm, home):
    command = arm.tick()
    assert command.status is Status.HOLDING and np.array_equal(command.joint_positions, home)


def test_interpolated_motion_ends_where_one_command_an_action_ends(make_arm, profile, slow_limits, kinematics):
    smooth = dataclasses.replace(profile.sim2real, smoothing_s=0.1)
    coarse, fine = make_arm(slow_limits, smooth), make_arm(slow_limits, smooth)
    for i in range(60):
        action = (0.0, 0.2, 0.0, 0.0) if i < 30 else STILL
        coarse.act(action, 0.05)
        fine.act(action, 0.01)
        for _ in range(4):
            fine.tick(0.01)
    ends = [kinematics.forward(arm.joints).position for arm in (coarse, fine)]
    assert np.linalg.norm(ends[0] - ends[1]) < 2e-3


def test_gripper_is_passed_on_and_kept_during_a_hold(arm):
    assert arm.hold().gripper is None
    assert arm.act((0, 0, 0, 0.75)).gripper == 0.75
    assert arm.hold().gripper == 0.75
    assert arm.act((0, 0, np.nan, -1.0)).gripper == 0.75


def test_same_time_twice_repeats_the_command(arm):
    for _ in range(10):
        command = arm.act(FORWARD)
    again = arm.act(FORWARD, 0.0)
    assert np.array_equal(again.joint_positions, command.joint_positions)


def test_rounding_of_stamps_changes_nothing(make_arm):
    """A stamp that went through a message lost its last bits; the commands must be the very same."""
    exact, rounded = make_arm(), make_arm(now=100.0)
    rng = np.random.default_rng(0)
    for _ in range(100):
        action = rng.uniform(-1, 1, 4)
        a = exact.act(action)
        rounded.now = exact.now + rng.uniform(-2e-10, 2e-10)
        b = rounded.obey(rounded.sim2real.act(action, rounded.now, rounded.state(), rounded.now))
        assert np.array_equal(a.joint_positions, b.joint_positions)


def test_commands_are_the_callers_to_change(arm):
    for _ in range(10):
        command = arm.act(FORWARD)
    joints, target = arm.joints.copy(), command.target_pose.position.copy()
    command.joint_positions[:] = 0.0
    command.target_pose.position[:] = 0.0
    arm.joints = joints
    again = arm.act(FORWARD)
    assert np.abs(again.joint_positions - joints).max() < 0.05
    assert Intervention.TRACKING_ERROR not in again.interventions
    assert np.linalg.norm(again.target_pose.position - target) < 0.02


def test_null_space_draws_a_joint_out_of_the_margin_of_its_limit(make_arm, profile, kinematics, calibration, home):
    pose = Pose(kinematics.forward(home).position, calibration.rotation_to_world(HAND_ROTATION))
    aside = home + np.array([0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    start = kinematics.inverse(pose, aside, aside)
    keep = dataclasses.replace(profile.sim2real, posture_rad=tuple(start))
    free = make_arm(config=keep, start=start)
    narrow = make_arm(config=keep, start=start)
    narrow.sim2real._comfort[1][2] = start[2] - 0.05
    for _ in range(50):
        free.act(STILL)
        narrow.act(STILL)
    assert free.joints[2] == pytest.approx(start[2], abs=1e-3)
    assert narrow.joints[2] < start[2] - 0.02
    assert np.linalg.norm(kinematics.forward(narrow.joints).position - pose.position) < 1e-3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("speed_scale", 2.0, "speed_scale = 2.0; allowed: 0.01 to 1.0"),
        ("leash_m", 0.0, "leash_m"),
        ("smoothing_s", -1.0, "smoothing_s"),
        ("posture_rad", [0.0] * 6, "expected 7 values"),
        ("posture_rad", [9.0] * 7, "posture_rad"),
        ("hand_low_m", [1.0, 1.0, 1.0], "hand_high_m"),
    ],
)
def test_configuration_is_validated(profile, key, value, message):
    data = {**dataclasses.asdict(profile.sim2real), key: value}
    with pytest.raises(ConfigurationError, match=message):
        config.from_mapping(Sim2RealConfig, data, "profile.yaml")
