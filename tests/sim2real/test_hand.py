"""What is said of the hand on a way to rest, against the way itself looked at closely."""

import dataclasses

import numpy as np
import pytest

from legion_sim2real.hand import HandLimits
from legion_sim2real.motion import PIECES, STILL, JointMotion, Motion

LOOKS = 60
RANDOM_WAYS = 200


@pytest.fixture(scope="module")
def motions(profile, kinematics):
    """Motions of joints at random, slow and fast, that speed up or slow down."""
    limits, rng = profile.load_safety(), np.random.default_rng(1)
    found = []
    for _ in range(RANDOM_WAYS):
        position = rng.uniform(kinematics.lower, kinematics.upper)
        velocity = rng.uniform(-1, 1, 7) * rng.choice([0.1, 0.3, 1.0])
        acceleration = rng.uniform(-1, 1, 7) * limits.joint_acceleration_rad_s2 * rng.choice([0.0, 0.3, 1.0])
        found.append(Motion(position.tolist(), velocity.tolist(), acceleration.tolist()))
    return found


@pytest.fixture(scope="module")
def braking(profile):
    limits = profile.load_safety()
    return JointMotion(limits.joint_acceleration_rad_s2, limits.joint_jerk_rad_s3)


def closely(braking, motion):
    """Many moments on the way to rest: positions and velocities."""
    seconds = duration(braking, motion)
    moments = [braking.brake(motion, seconds * i / LOOKS) for i in range(LOOKS)]
    return np.array([moment.position for moment in moments]), np.array([moment.velocity for moment in moments])


def duration(braking, motion):
    """The time to rest, by halving."""
    short, long = 0.0, 10.0
    while long - short > 1e-6:
        middle = (short + long) / 2.0
        short, long = (short, middle) if braking.brake(motion, middle).at_rest else (middle, long)
    return long


def test_way_leads_from_the_motion_to_rest(braking, motions):
    for motion in motions[:50]:
        way, seconds = braking.way_to_rest(motion), duration(braking, motion)
        assert Motion(*way.moments[0]) == motion
        assert way.moments[-1][1] == pytest.approx(STILL, abs=1e-9)
        assert way.rest == pytest.approx(braking.brake(motion, seconds).position, abs=1e-6)
        for i, (_, velocity, _) in enumerate(way.moments[:-1]):
            assert velocity == pytest.approx(braking.brake(motion, i * seconds / PIECES).velocity, abs=1e-3)


def test_velocities_bend_no_farther_than_a_way_says(braking, motions):
    for motion in motions:
        way, (_, velocities) = braking.way_to_rest(motion), closely(braking, motion)
        known, times = np.array([velocity for _, velocity, _ in way.moments]), np.linspace(0.0, LOOKS, PIECES + 1)
        straight = np.array([np.interp(range(LOOKS), times, joint) for joint in known.T]).T
        assert np.abs(velocities - straight).max() <= way.bend + 1e-4


def test_hand_that_is_not_too_fast_keeps_its_limits_all_the_way_to_rest(profile, kinematics, braking, motions):
    limits = dataclasses.replace(profile.load_safety(), max_speed_m_s=0.5, max_turn_rad_s=1.0)
    hand, judged = HandLimits(limits, kinematics), []
    for motion in motions:
        twists = np.array([kinematics.twist(*moment) for moment in zip(*closely(braking, motion), strict=True)])
        speed, turn = (np.linalg.norm(part, axis=1).max() for part in (twists[:, :3], twists[:, 3:]))
        share = max(speed / limits.max_speed_m_s, turn / limits.max_turn_rad_s)
        judged.append(hand.too_fast(braking.way_to_rest(motion)))
        assert share <= 1.0 or judged[-1]
        assert share >= 0.85 or not judged[-1] or speed_when_steady(kinematics, hand, motion, braking) > 1.0
    assert 0.2 < np.mean(judged) < 0.8


def speed_when_steady(kinematics, hand, motion, braking):
    """The share of the hand's limits once the accelerations are back at zero."""
    return hand.share(kinematics.twist(np.array(motion.position), np.array(braking.way_to_rest(motion).peak)))


def test_excess_is_how_far_the_hand_gets_outside(profile, kinematics, braking, motions):
    limits = dataclasses.replace(profile.load_safety(), overshoot_m=0.001)
    hand = HandLimits(limits, kinematics)
    for motion in motions:
        most = max(map(hand.excess_at, closely(braking, motion)[0].tolist()))
        excess = hand.excess(braking.way_to_rest(motion))
        assert excess == pytest.approx(most, abs=0.01) or max(excess, most) <= limits.overshoot_m
