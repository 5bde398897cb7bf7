"""The guard: each check by name, and properties that hold whatever goes in."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from legion_core import config
from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_sim2real.collision import Box, CollisionChecker
from legion_sim2real.guard import SafetyGuard
from legion_sim2real.interventions import Intervention, Level, worst
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.motion import JointMotion, Motion
from legion_sim2real.real2sim import RobotState
from legion_sim2real.robot import load_profile
from legion_sim2real.sim2real import Status

FORWARD = (0.0, 1.0, 0.0, 0.0)
DOWN = (0.0, 0.0, -1.0, 0.0)
weird = st.one_of(st.floats(-1, 1), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1e300, -1e300]))


class Watch:
    """Follows the commands of an arm and asserts that they lie on a path that keeps every limit of the joints.

    A path whose nth derivative is bounded has nth divided differences, times n!, with the same bound, however unevenly
    it is sampled: that is what is asserted of speed, acceleration and jerk.
    """

    def __init__(self, arm, kinematics):
        self.arm, self.kinematics, self.limits = arm, kinematics, arm.guard.limits
        self.samples, self.moving = [], False

    def see(self, command, state):
        """Check `command`, which answers `state`."""
        joints, guard = command.joint_positions, self.arm.guard
        assert (joints is None) == (command.status is Status.REFUSED)
        assert command.level is guard.level is worst(command.interventions)
        assert guard.e_stopped == (guard.stop_reason is not None)
        if joints is None:
            return
        assert command.gripper is None or -1 <= command.gripper <= 1
        if self.may_restart(command) and np.array_equal(joints, state.joint_positions):
            self.samples.clear()
        self.add(joints)

    def may_restart(self, command):
        """A start from the measured pose is allowed at first, at rest, after a gap, or when the arm does not follow."""
        lost = {Intervention.INTERRUPTED, Intervention.TRACKING_ERROR} & set(command.interventions)
        return bool(lost) or not self.moving

    def add(self, joints):
        """The next command of the path."""
        self.moving = self.arm.guard.moving
        assert np.isfinite(joints).all()
        assert (joints >= self.kinematics.lower).all() and (joints <= self.kinematics.upper).all()
        if self.samples and self.samples[-1][0] == self.arm.now:
            assert np.array_equal(joints, self.samples[-1][1])
            return
        self.samples = [*self.samples[-3:], (self.arm.now, joints)]
        times, differences = zip(*self.samples, strict=True)
        bounds = (
            self.kinematics.velocity * self.limits.joint_velocity_scale,
            self.limits.stop_acceleration_rad_s2,
            self.limits.stop_jerk_rad_s3,
        )
        for n in range(1, len(times)):
            spans = [later - earlier for earlier, later in zip(times, times[n:], strict=False)]
            differences = [(b - a) / t for a, b, t in zip(differences, differences[1:], spans, strict=False)]
            rounding = 1e-13 * 2**n / min(np.diff(times)) ** n
            assert (np.abs(differences[-1]) * math.factorial(n) <= bounds[n - 1] * (1 + 1e-6) + rounding).all(), n


events = st.one_of(
    st.tuples(st.just("act"), st.tuples(weird, weird, weird, weird), st.floats(0.001, 0.06)),
    st.tuples(st.just("steady"), st.tuples(*[st.floats(-1, 1)] * 4), st.integers(1, 40)),
    st.tuples(st.just("tick"), st.none(), st.floats(0.001, 0.06)),
    st.tuples(st.just("hold"), st.none(), st.floats(0.001, 0.06)),
    st.tuples(st.just("stamp"), st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 1e12]), st.just(0.02)),
    st.tuples(st.just("joints"), st.lists(weird, min_size=0, max_size=8), st.just(0.02)),
    st.tuples(st.just("gap"), st.none(), st.floats(0.1, 100.0)),
    st.tuples(st.just("back"), st.none(), st.floats(-50.0, 0.0)),
    st.tuples(st.just("e_stop"), st.none(), st.just(0.02)),
    st.tuples(st.just("clear"), st.none(), st.just(0.02)),
)


def play(arm, watch, event):
    """One event of the fuzz test."""
    kind, value, period = event
    period = period if kind == "steady" else round(period, 6)
    state = {}
    if kind == "e_stop":
        arm.guard.e_stop()
    elif kind == "clear":
        arm.guard.clear_e_stop()
    elif kind == "joints":
        state = {"joint_positions": np.array(value, float)}
    for _ in range(period if kind == "steady" else 1):
        step = 0.02 if kind == "steady" else period
        before = arm.state(**state)
        if kind == "tick":
            command = arm.tick(step)
        elif kind == "hold":
            command = arm.hold(step)
        elif kind == "stamp":
            command = arm.act(FORWARD, step, stamp=value, stamp_s=value)
        else:
            command = arm.act(value if kind in ("act", "steady") else FORWARD, step, **state)
        watch.see(command, before)


@settings(max_examples=150)
@given(script=st.lists(events, min_size=1, max_size=25), slow=st.booleans(), follow=st.sampled_from([0.3, 1.0]))
def test_whatever_goes_in_comes_out_within_the_limits(make_arm, slow_limits, kinematics, script, slow, follow):
    arm = make_arm(slow_limits if slow else None, follow=follow)
    watch = Watch(arm, kinematics)
    for event in script:
        play(arm, watch, event)


@settings(max_examples=60)
@given(
    directions=st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 1.0])] * 3), min_size=1, max_size=6),
    periods=st.lists(st.floats(0.002, 0.04), min_size=1, max_size=5),
)
def test_joints_never_overrun_their_margins_and_the_hand_stays_above_the_table(
    make_arm, kinematics, directions, periods
):
    arm = make_arm()
    limits = arm.guard.limits
    lower, upper = kinematics.lower + limits.joint_margin_rad, kinematics.upper - limits.joint_margin_rad
    floor = limits.table_height_m + limits.table_clearance_m - limits.overshoot_m
    for i in range(40 * len(directions)):
        command = arm.act((*directions[i // 40], 0.0), round(periods[i % len(periods)], 6))
        assert (command.joint_positions >= lower - 1e-9).all() and (command.joint_positions <= upper + 1e-9).all()
        hand, rotation = kinematics.forward(command.joint_positions)
        assert hand[2] + rotation[2, 0] * kinematics.tool_length >= floor - 1e-3


def random_velocities(seed, count):
    return np.random.default_rng(seed).uniform(-20, 20, (count, 7))


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), period=st.floats(0.001, 0.08))
@example(seed=4345, period=0.0703125)  # a joint that turns round passes its margin on the way to a rest inside it
def test_joint_velocities_of_any_size_are_made_safe(make_arm, profile, kinematics, seed, period):
    """The last check alone: no kinematics before it has made the velocities reasonable."""
    limits = free_limits(profile)
    arm = make_arm(limits)
    guard, watch = arm.guard, Watch(arm, kinematics)
    watch.limits = dataclasses.replace(  # without a hold or a stop it is these that count
        limits,
        stop_acceleration_rad_s2=limits.joint_acceleration_rad_s2,
        stop_jerk_rad_s3=limits.joint_jerk_rad_s3,
    )
    watch.add(guard.anchor(arm.state(), arm.now))
    braking = JointMotion(limits.joint_acceleration_rad_s2, limits.joint_jerk_rad_s3)
    period = round(period, 6)
    for velocity in random_velocities(seed, 100):
        arm.now = round(arm.now + period, 6)
        slowest = np.array(braking.brake(guard.motion, period).position)
        joints = guard.send(velocity, kinematics.jacobian(guard.position), arm.now, period, 1.0)
        watch.add(joints)
        hand = kinematics.twist(joints, np.array(guard.motion.velocity))
        speed = max(
            np.linalg.norm(hand[:3]) / limits.max_speed_m_s,
            np.linalg.norm(hand[3:]) / limits.max_turn_rad_s,
        )
        # a hand that got fast by turning joints can be slowed no faster than the joints can brake
        assert speed <= 1.00001 or joints == pytest.approx(slowest, abs=1e-12)
        margin = limits.joint_margin_rad - 1e-9
        for end in (joints, np.array(braking.rest(guard.motion))):
            assert (end >= kinematics.lower + margin).all() and (end <= kinematics.upper - margin).all()


def free_limits(profile, **changes):
    """The simulator's limits with a workspace that holds the whole arm."""
    free = {"workspace_low_m": (-2, -2, -2), "workspace_high_m": (2, 2, 2), "table_height_m": -2.0}
    return dataclasses.replace(profile.load_safety(), **{**free, **changes})


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("sign", [-1, 1])
def test_joint_driven_against_its_end_stop_rests_at_the_margin(make_arm, profile, kinematics, joint, sign):
    arm = make_arm(free_limits(profile, max_speed_m_s=1.5), start=np.zeros(7))
    arm.guard.anchor(arm.state(), arm.now)
    for _ in range(300):
        arm.now += 0.02
        velocity = 10.0 * sign * np.eye(7)[joint]
        joints = arm.guard.send(velocity, kinematics.jacobian(arm.guard.position), arm.now, 0.02, 1.0)
    end = (kinematics.upper if sign > 0 else kinematics.lower) - sign * arm.guard.limits.joint_margin_rad
    assert joints[joint] == pytest.approx(end[joint], abs=1e-4) and sign * (end - joints)[joint] >= 0
    assert arm.guard.counts[Intervention.JOINT_POSITION.value] > 0


def test_hand_that_is_too_fast_brakes_as_hard_as_the_joints_may(make_arm, profile, kinematics):
    arm = make_arm(free_limits(profile, joint_acceleration_rad_s2=10.0))
    guard, change = arm.guard, 10.0 * 0.02
    guard.anchor(arm.state(), arm.now)
    steps = []
    for factor in [1.0] * 10 + [0.05] * 20:
        before, arm.now = guard.position, arm.now + 0.02
        joints = guard.send(np.array([2.0, 0, 0, 0, 0, 0, 0]), kinematics.jacobian(before), arm.now, 0.02, factor)
        steps.append((joints - before)[0] / 0.02)
    assert steps[9] > 1.0 and np.diff(steps[10:14]) == pytest.approx(-change, rel=0.02)
    assert 0.0 < steps[-1] <= 0.05 * kinematics.velocity[0]


# ------------------------------------------------------------------------------------------- each check by name


def run(arm, steps, action=FORWARD):
    for _ in range(steps):
        command = arm.act(action)
    return command


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ((math.nan, 0, 0, 0), Intervention.NON_FINITE_ACTION),
        ((0, math.inf, 0, 0), Intervention.NON_FINITE_ACTION),
        ((0, 0, 0), Intervention.MALFORMED_ACTION),
        ((0, 0, 0, 0, 0), Intervention.MALFORMED_ACTION),
        (((0, 0), (0, 0)), Intervention.MALFORMED_ACTION),
        (("a", "b", "c", "d"), Intervention.MALFORMED_ACTION),
    ],
)
def test_bad_action_brakes_and_is_named(arm, action, name):
    run(arm, 10)
    command = arm.act(action)
    assert command.status is Status.HOLDING and name in command.interventions
    assert arm.guard.counts[name.value] == 1


def test_action_beyond_one_is_clipped(make_arm):
    wild, tame = make_arm(), make_arm()
    for _ in range(20):
        command = wild.act((0.0, 7.0, 0.0, 3.0))
        expected = tame.act((0.0, 1.0, 0.0, 1.0))
    assert np.array_equal(command.joint_positions, expected.joint_positions) and command.gripper == 1.0
    assert Intervention.ACTION_CLIPPED in command.interventions


@pytest.mark.parametrize(
    ("joints", "name"),
    [
        (np.full(7, np.nan), Intervention.MALFORMED_JOINT_STATE),
        (np.zeros(6), Intervention.MALFORMED_JOINT_STATE),
        (np.array([0, 0, 0, 2.2, 0, 0, 0]), Intervention.OUTSIDE_JOINT_LIMITS),
    ],
)
def test_bad_joint_state_is_named_and_moves_nothing(arm, joints, name):
    command = arm.act(FORWARD, joint_positions=joints)
    assert command.status is Status.REFUSED and command.joint_positions is None
    assert name in command.interventions


@pytest.mark.parametrize(
    ("stamps", "name"),
    [
        ({"stamp": 1.0}, Intervention.STALE_ACTION),
        ({"stamp": math.nan}, Intervention.STALE_ACTION),
        ({"stamp": -math.inf}, Intervention.STALE_ACTION),
        ({"stamp": 1e9}, Intervention.FUTURE_STAMP),
        ({"stamp": math.inf}, Intervention.FUTURE_STAMP),
        ({"stamp_s": 1.0}, Intervention.STALE_JOINT_STATE),
        ({"stamp_s": math.nan}, Intervention.STALE_JOINT_STATE),
        ({"stamp_s": 1e9}, Intervention.FUTURE_STAMP),
    ],
)
def test_bad_stamp_brakes_and_is_named(arm, stamps, name):
    run(arm, 10)
    command = arm.act(FORWARD, **stamps)
    assert command.status is Status.HOLDING and name in command.interventions


def test_stale_object_is_named_apart_from_the_action(arm):
    run(arm, 10)
    arm.now += 0.02
    command = arm.sim2real.act(np.array(FORWARD), arm.now, arm.state(), arm.now, object_stamp_s=arm.now - 5.0)
    assert command.interventions == (Intervention.STALE_OBJECT,) and command.status is Status.HOLDING


def test_frozen_action_stamp_goes_stale_after_the_timeout(arm):
    run(arm, 10)
    frozen = arm.now
    statuses = [arm.act(FORWARD, stamp=frozen).status for _ in range(8)]
    within = int(arm.guard.limits.action_timeout_s / 0.02)
    assert statuses == [Status.MOVING] * within + [Status.HOLDING] * (8 - within)


def test_clock_that_is_not_a_number_moves_nothing(arm):
    run(arm, 10)
    command = arm.sim2real.act(np.array(FORWARD), arm.now, arm.state(), math.nan)
    assert command.joint_positions is None and command.status is Status.REFUSED


def test_workspace_and_table_are_kept(make_arm, profile, kinematics, home):
    start = kinematics.forward(home).position
    box = {
        "workspace_low_m": tuple(start - [0.05, 0.05, 0.3]),
        "workspace_high_m": tuple(start + 0.05),
        "table_height_m": float(start[2] - 0.1),
    }
    arm = make_arm(dataclasses.replace(profile.load_safety(), **box))
    seen = {i for action in (DOWN, FORWARD) for _ in range(60) for i in arm.act(action).interventions}
    assert {Intervention.WORKSPACE, Intervention.TABLE_CLEARANCE} <= seen
    hand = kinematics.forward(arm.joints).position
    assert hand[2] == pytest.approx(box["table_height_m"] + kinematics.tool_length, abs=1e-3)
    assert (hand <= np.array(box["workspace_high_m"]) + 1e-3).all()


@pytest.mark.parametrize("direction", [(0, 0, -1), (1, 0, 0), (0, 1, 0), (0, -1, 0)])
def test_hand_that_rushes_at_a_border_comes_to_rest_before_it(make_arm, profile, kinematics, home, direction):
    start = kinematics.forward(home).position
    box = {
        "workspace_low_m": tuple(start - [0.2, 0.15, 0.2]),
        "workspace_high_m": tuple(start + 0.15),
        "table_height_m": float(start[2] - 0.2),
        "joint_acceleration_rad_s2": 4.0,
        "overshoot_m": 0.001,
    }
    limits = dataclasses.replace(profile.load_safety(), **box)
    arm = make_arm(limits)
    arm.guard.anchor(arm.state(), arm.now)
    for _ in range(100):
        jacobian = kinematics.jacobian(arm.guard.position)
        velocity = np.linalg.pinv(jacobian) @ np.r_[direction, np.zeros(3)]
        arm.now += 0.02
        hand, rotation = kinematics.forward(arm.guard.send(velocity, jacobian, arm.now, 0.02, 1.0))
        assert (hand >= np.array(box["workspace_low_m"]) - 0.002).all()
        assert (hand <= np.array(box["workspace_high_m"]) + 0.002).all()
        assert hand[2] + rotation[2, 0] * kinematics.tool_length >= box["table_height_m"] - 0.002
    assert arm.guard.counts[Intervention.STOPPING_DISTANCE.value] > 0
    assert np.abs(hand - start).max() > 0.1


def test_arm_found_outside_the_workspace_may_only_come_back(make_arm, profile, kinematics, home):
    start = kinematics.forward(home).position
    high = start - [0.05, 0.0, 0.0]
    limits = dataclasses.replace(profile.load_safety(), workspace_high_m=(float(high[0]), 0.6, 0.35))
    arm = make_arm(limits)
    run(arm, 100, (0.0, 0.0, 0.0, 0.0))
    assert kinematics.forward(arm.joints).position[0] == pytest.approx(high[0], abs=2e-3)


def test_cartesian_speed_is_kept(make_arm, slow_limits, kinematics):
    arm = make_arm(slow_limits)
    seen, before = set(), kinematics.forward(arm.joints).position
    for _ in range(100):
        command = arm.act(FORWARD)
        seen.update(command.interventions)
        hand = kinematics.forward(arm.joints).position
        assert np.linalg.norm(hand - before) <= slow_limits.max_speed_m_s * 0.02 * 1.01
        before = hand
    assert Intervention.CARTESIAN_SPEED in seen


def test_turning_speed_is_kept(make_arm, profile, kinematics):
    arm = make_arm(free_limits(profile, max_turn_rad_s=0.5))
    arm.guard.anchor(arm.state(), arm.now)
    for i in range(60):
        before, arm.now = arm.guard.position, arm.now + 0.02
        wish = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]) * (1.0 if i < 30 else -1.0)
        joints = arm.guard.send(wish, kinematics.jacobian(before), arm.now, 0.02, 1.0)
        turn = kinematics.rotation_error(kinematics.forward(joints).rotation, kinematics.forward(before).rotation)
        assert np.linalg.norm(turn) <= 0.5 * 0.02 * 1.01
    assert arm.guard.counts[Intervention.CARTESIAN_SPEED.value] > 0


def test_guard_starts_inactive(make_arm):
    arm = make_arm()
    arm.guard.deactivate()
    command = arm.act(FORWARD)
    assert command.status is Status.HOLDING and command.interventions == (Intervention.INACTIVE,)


def test_stop_is_latched_until_it_is_cleared(arm):
    run(arm, 20)
    arm.guard.e_stop()
    for _ in range(50):
        command = arm.act(FORWARD)
        assert command.status is Status.HOLDING and Intervention.E_STOP in command.interventions
    assert not arm.guard.moving
    arm.sim2real.reset()
    assert arm.act(FORWARD).status is Status.HOLDING
    arm.guard.clear_e_stop()
    assert arm.act(FORWARD).status is Status.MOVING


# ------------------------------------------------------------------------------------------- levels and latched stops


@pytest.mark.parametrize(
    ("action", "level"),
    [
        ((0.0, 0.0, 0.0, 0.0), Level.CLEAR),
        ((0.0, 3.0, 0.0, 0.0), Level.SLOW),
        ((math.nan, 0.0, 0.0, 0.0), Level.HOLD),
    ],
)
def test_level_says_how_severe_it_was(arm, action, level):
    run(arm, 20, (0.0, 0.0, 0.0, 0.0))
    assert arm.act(action).level is level is arm.guard.level


def test_every_intervention_has_a_level_and_nothing_is_as_severe_as_a_stop():
    assert {i.level for i in Intervention} == {Level.SLOW, Level.HOLD, Level.STOP}
    assert {i for i in Intervention if i.level is Level.STOP} == {Intervention.E_STOP, Intervention.STOPPED}
    assert worst([Intervention.RAMP_IN, Intervention.STALE_ACTION, Intervention.JOINT_JERK]) is Level.HOLD
    assert worst(Intervention) is Level.STOP and worst([]) is Level.CLEAR


def test_hold_goes_on_by_itself_from_the_measured_pose(arm):
    run(arm, 20)
    assert arm.act(FORWARD, stamp=0.0).level is Level.HOLD
    while arm.guard.moving:
        arm.act(FORWARD, stamp=0.0)
    measured = arm.joints.copy()
    command = arm.act(FORWARD)
    assert command.status is Status.MOVING and np.array_equal(command.joint_positions, measured)
    assert not arm.guard.e_stopped


@pytest.mark.parametrize("name", ["tracking_error", "stale_action", "outside_joint_limits"])
def test_latched_intervention_stops_until_it_is_cleared(make_arm, profile, name):
    arm = make_arm(dataclasses.replace(profile.load_safety(), latch=(name,)))
    run(arm, 20)
    if name == "stale_action":
        arm.act(FORWARD, stamp=0.0)
    else:
        arm.act(FORWARD, joint_positions=arm.joints + (0.6 if name == "tracking_error" else 3.0))
    assert arm.guard.stop_reason == name and arm.guard.e_stopped
    for _ in range(30):
        command = arm.act(FORWARD)
        assert command.status is Status.HOLDING and command.level is Level.STOP
        assert Intervention.STOPPED in command.interventions and Intervention.E_STOP not in command.interventions
    assert not arm.guard.moving
    arm.sim2real.reset()
    assert arm.guard.e_stopped
    arm.guard.clear_e_stop()
    measured = arm.joints.copy()
    command = arm.act(FORWARD)
    assert command.status is Status.MOVING and np.array_equal(command.joint_positions, measured)
    assert arm.guard.stop_reason is None


def test_stop_keeps_its_first_reason(arm):
    arm.guard.e_stop("watchdog")
    arm.guard.e_stop()
    assert arm.guard.stop_reason == "watchdog"
    arm.guard.clear_e_stop()
    arm.guard.e_stop()
    assert arm.guard.stop_reason == "operator"


@pytest.mark.parametrize("name", ["no_such_thing", "joint_velocity", "e_stop"])
def test_only_what_holds_the_arm_can_be_latched(slow_limits, name):
    with pytest.raises(ConfigurationError, match=r"latch = .*; allowed: any of .*tracking_error"):
        dataclasses.replace(slow_limits, latch=(name,))


@pytest.mark.parametrize("key", ["stop_acceleration_rad_s2", "stop_jerk_rad_s3"])
def test_stop_is_no_gentler_than_ordinary_motion(slow_limits, key):
    with pytest.raises(ConfigurationError, match=key):
        dataclasses.replace(slow_limits, **{key: 4.0})


def test_motion_for_which_ruckig_finds_no_common_time_goes_on():
    """Seen in a fuzz test: the joints' times to the target differ by rounding errors only."""
    velocity = [0.3461286772500842, -0.0807504250998602, 0.7324513926182212, 0.7426735425379002, -0.1204174830387706]
    acceleration = [16.07048622918039, -4.148990566420185, 43.60781245402888, 38.98256232849651, -6.546978503492639]
    wish = [0.5366848391520889, -0.1381908721444818, 1.049391610455847, 1.056048270588237, -0.2084401320248599]
    motion = Motion(
        [0.0] * 7,
        [*velocity, -0.7955819234154106, 0.6773563540819681],
        [*acceleration, -43.60781245402889, 40.52181036971805],
    )
    wish += [-1.112522141253037, 0.9927093371088658]
    after = JointMotion(60.0, 3000.0).towards(wish, motion, 0.02)
    assert after.velocity == pytest.approx(wish) and after.acceleration == pytest.approx([0.0] * 7, abs=1e-6)


@pytest.mark.parametrize("robot", ["mujoco", "lbr"])
def test_stop_from_full_joint_speed_ends_in_time(robot):
    profile = load_profile(robot)
    limits, fastest = profile.load_safety(), profile.kinematics().velocity
    stopping = JointMotion(limits.stop_acceleration_rad_s2, limits.stop_jerk_rad_s3)
    motion = Motion([0.0] * 7, (fastest * limits.joint_velocity_scale).tolist(), [0.0] * 7)
    assert stopping.brake(motion, 0.04 if robot == "mujoco" else 0.12).at_rest


def test_jerk_limit_is_named(make_arm, profile):
    arm = make_arm(dataclasses.replace(profile.load_safety(), joint_jerk_rad_s3=100.0))
    assert Intervention.JOINT_JERK in {i for _ in range(10) for i in arm.act(FORWARD).interventions}


# ------------------------------------------------------------------------------------------- what is near


def boxed(profile, kinematics, calibration, joints, distance):
    """The simulator's limits with a post whose face is `distance` (m) in front of the hand, and its checker."""
    forward = calibration.direction_to_world(np.array(FORWARD[:3]))
    centre = kinematics.forward(joints).position + (distance + 0.15) * forward
    post = Box("post", (*(centre[:2] - 0.1).tolist(), -0.2), (*(centre[:2] + 0.1).tolist(), 1.0))
    limits = dataclasses.replace(profile.load_safety(), obstacles=(post,), obstacle_clearance_m=0.02)
    return limits, CollisionChecker(kinematics, (post,))


def test_arm_slows_down_before_an_obstacle_stops_at_the_clearance_and_leaves(
    make_arm, profile, kinematics, calibration, home
):
    limits, checker = boxed(profile, kinematics, calibration, home, 0.2)
    arm = make_arm(limits)
    gaps, seen = [], []
    for _ in range(100):
        command = arm.act(FORWARD)
        gaps.append(checker.nearest(command.joint_positions).distance_m)
        seen.append(command.interventions)
    assert min(gaps) >= limits.obstacle_clearance_m - 1e-6
    assert gaps[-1] < limits.obstacle_clearance_m + 0.01 < gaps[0] and not arm.guard.moving
    slowed = next(i for i, names in enumerate(seen) if Intervention.PROXIMITY in names)
    stopped = next(i for i, names in enumerate(seen) if Intervention.OBSTACLE in names)
    assert slowed < stopped and command.level is Level.HOLD
    assert Intervention.SELF_COLLISION.value not in arm.guard.counts
    for _ in range(40):
        command = arm.act((0.0, -1.0, 0.0, 0.0))
    assert checker.nearest(command.joint_positions).distance_m > 0.1 and command.level is Level.CLEAR


def test_arm_found_too_near_to_an_obstacle_may_only_leave(make_arm, profile, kinematics, calibration, home):
    limits, checker = boxed(profile, kinematics, calibration, home, 0.03)
    start = checker.nearest(home).distance_m
    assert start < limits.obstacle_clearance_m
    arm = make_arm(limits)
    for _ in range(30):
        assert checker.nearest(arm.act(FORWARD).joint_positions).distance_m >= start - 1e-6
    for _ in range(40):
        command = arm.act((0.0, -1.0, 0.0, 0.0))
    assert checker.nearest(command.joint_positions).distance_m > limits.obstacle_clearance_m + 0.05


def test_arm_does_not_reach_into_itself(make_arm, profile, kinematics, home):
    """The joints are driven straight towards a folded pose, without any kinematics before the guard."""
    limits = free_limits(profile, obstacles=())
    checker, guard = CollisionChecker(kinematics), make_arm(limits).guard
    folded = np.array([0.0, 2.0, 0.0, -2.05, 0.0, 2.05, 0.0])
    assert checker.nearest(folded).distance_m < 0.0
    guard.anchor(RobotState(0.0, np.array([0.0, 0.0, 0.0, -0.5, 0.0, 0.5, 0.0]), 1.0), 0.0)
    for i in range(1, 300):
        way = folded - guard.position
        joints = guard.send(2.0 * way, kinematics.jacobian(guard.position), 0.02 * i, 0.02, 1.0)
        assert checker.nearest(joints).distance_m >= limits.self_clearance_m - 1e-6
    assert guard.counts[Intervention.SELF_COLLISION.value] > 0
    assert checker.nearest(joints).distance_m < limits.self_clearance_m + 0.05


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), rate_hz=st.sampled_from([10.0, 25.0, 50.0, 100.0]))
@example(seed=400, rate_hz=50.0)  # from one side of an edge to the other
def test_clearances_are_kept_at_any_rate_of_checks(make_arm, profile, kinematics, home, seed, rate_hz):
    table = Box("table", (0.2, -1.0, -0.5), (1.5, 1.0, -0.25))
    post = Box("post", (0.3, 0.3, -0.5), (0.5, 0.5, 1.0))
    limits = free_limits(profile, obstacles=(table, post), collision_rate_hz=rate_hz)
    checker, guard = CollisionChecker(kinematics, limits.obstacles), make_arm(limits).guard
    assert checker.clear(home, limits.self_clearance_m, limits.obstacle_clearance_m) is None
    guard.anchor(RobotState(0.0, home, 1.0), 0.0)
    rng = np.random.default_rng(seed)
    for i in range(1, 200):
        if i % 20 == 1:
            velocity = rng.uniform(-1.5, 1.5, 7)
        joints = guard.send(velocity, kinematics.jacobian(guard.position), 0.02 * i, 0.02, 1.0)
        # what is judged is where the arm would come to rest; it gets there on a slightly different path
        slack = 2e-3
        assert checker.clear(joints, limits.self_clearance_m - slack, limits.obstacle_clearance_m - slack) is None


def test_arm_that_stands_in_a_box_does_not_reach_into_itself(make_arm, profile, kinematics):
    """The gap to the box, which the arm cannot change, hides no other."""
    around = Box("around the base", (-0.2, -0.2, 0.0), (0.2, 0.2, 0.3))
    limits = free_limits(profile, obstacles=(around,))
    checker, guard = CollisionChecker(kinematics), make_arm(limits).guard
    folded = np.array([0.0, 2.0, 0.0, -2.05, 0.0, 2.05, 0.0])
    guard.anchor(RobotState(0.0, np.array([0.0, 0.0, 0.0, -0.5, 0.0, 0.5, 0.0]), 1.0), 0.0)
    for i in range(1, 300):
        velocity = 2.0 * (folded - guard.position)
        joints = guard.send(velocity, kinematics.jacobian(guard.position), 0.02 * i, 0.02, 1.0)
        assert checker.nearest(joints).distance_m >= limits.self_clearance_m - 1e-6
    assert guard.counts[Intervention.SELF_COLLISION.value] > 0


def test_distances_are_computed_no_more_often_than_asked(make_arm, profile, kinematics, calibration, home):
    limits, _ = boxed(profile, kinematics, calibration, home, 0.05)
    calls = []

    class Counting(CollisionChecker):
        def nearest_of_each(self, q):
            calls.append(q)
            return super().nearest_of_each(q)

    guard = SafetyGuard(
        dataclasses.replace(limits, collision_rate_hz=10.0), kinematics, Counting(kinematics, limits.obstacles)
    )
    guard.anchor(RobotState(0.0, home, 1.0), 0.0)
    for i in range(1, 51):
        guard.send(np.full(7, 0.01), kinematics.jacobian(guard.position), 0.02 * i, 0.02, 1.0)
    assert 1 < len(calls) <= 1 + 10


# ------------------------------------------------------------------------------------------- the file of limits


def test_every_limit_must_be_given(slow_limits):
    data = dataclasses.asdict(slow_limits)
    for key in data:
        with pytest.raises(ConfigurationError, match=f"missing {key}"):
            config.from_mapping(SafetyLimits, {k: v for k, v in data.items() if k != key}, "safety.yaml")


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, 1e9, None, True, "off"])
def test_no_limit_can_be_switched_off(slow_limits, value):
    data = dataclasses.asdict(slow_limits)
    zero_is_strict = {"future_tolerance_s", "table_height_m", "table_clearance_m"}
    for key, limit in data.items():
        if isinstance(limit, float) and not (key in zero_is_strict and value in (0.0, -1.0)):
            with pytest.raises(ConfigurationError, match=rf"safety.yaml: {key} = .*(allowed|expected)"):
                config.from_mapping(SafetyLimits, {**data, key: value}, "safety.yaml")


def test_workspace_must_be_a_box(slow_limits):
    with pytest.raises(ConfigurationError, match=r"workspace_high_m = .* allowed: above workspace_low_m"):
        dataclasses.replace(slow_limits, workspace_high_m=slow_limits.workspace_low_m)


@pytest.mark.parametrize("name", ["safety.yaml", "safety_mujoco.yaml"])
def test_shipped_limits_load(name):
    assert config.load(SafetyLimits, resource(f"config/{name}")).joint_velocity_scale <= 1.0


def test_real_arm_is_slower_than_the_simulated_one(profile, slow_limits):
    fast = profile.load_safety()
    for key in ("max_speed_m_s", "max_turn_rad_s", "joint_velocity_scale", "joint_acceleration_rad_s2"):
        assert getattr(slow_limits, key) <= 0.5 * getattr(fast, key)
