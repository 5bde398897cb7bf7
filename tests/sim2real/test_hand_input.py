"""The virtual arm of a robot that speaks of its hand alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import SpaceError
from legion_sim2real.calibration import rotation_from_rpy
from legion_sim2real.hand_input import TOLERANCE, HandInput
from legion_sim2real.kinematics import Pose


@pytest.fixture
def hand_input(kinematics, home):
    return HandInput(kinematics, home)


def holds(kinematics, joints, hand):
    reached = kinematics.forward(joints)
    turn = kinematics.rotation_error(hand.rotation, reached.rotation)
    return max(np.abs(reached.position - hand.position).max(), np.abs(turn).max()) <= TOLERANCE


offsets = st.lists(st.floats(-0.4, 0.4), min_size=7, max_size=7).map(np.array)


@given(offset=offsets)
def test_the_virtual_hand_is_where_the_robots_is(kinematics, home, offset):
    hand = kinematics.forward(home + offset)
    joints = HandInput(kinematics, home).joints(hand)
    assert holds(kinematics, joints, hand)
    assert (joints >= kinematics.lower).all() and (joints <= kinematics.upper).all()


def test_orientation_counts(hand_input, kinematics, home):
    hand = kinematics.forward(home)
    tilted = Pose(hand.position, rotation_from_rpy(0.2, -0.1, 0.3) @ hand.rotation)
    joints = hand_input.joints(tilted)
    assert holds(kinematics, joints, tilted) and np.abs(joints - home).max() > 0.05


def test_a_moving_hand_moves_the_joints_smoothly(hand_input, kinematics, home):
    start = kinematics.forward(home)
    before = hand_input.joints(start)
    for angle in np.linspace(0, 4 * np.pi, 400):
        offset = np.array((0.1 * np.sin(angle), 0.12 * np.cos(angle) - 0.12, 0.04 * np.sin(2 * angle)))
        joints = hand_input.joints(Pose(start.position + offset, start.rotation))
        assert np.abs(joints - before).max() < 0.05
        before = joints
    assert joints == pytest.approx(home, abs=0.05), "two rounds wind no joint up"


def test_it_follows_the_elbow_of_the_command(hand_input, kinematics, home):
    """The same hand with the elbow swung aside: that elbow is kept, not the posture's."""
    hand = kinematics.forward(home)
    aside = hand_input_at(kinematics, home + np.array((0.3, 0.0, -0.3, 0.0, 0.0, 0.0, 0.0)), hand)
    assert np.abs(aside - home).max() > 0.1
    hand_input.follow(aside)
    assert hand_input.joints(hand) == pytest.approx(aside, abs=1e-6)
    moved = Pose(hand.position + np.array((0.01, 0.0, 0.0)), hand.rotation)
    assert np.abs(hand_input.joints(moved) - aside).max() < 0.05


def hand_input_at(kinematics, posture, hand):
    return HandInput(kinematics, posture).joints(hand)


def test_a_hand_that_leaps_is_found_afresh(hand_input, kinematics, home):
    aside = home + np.array((1.5, 0.3, 1.0, 0.2, -1.0, 0.3, 0.5))
    hand_input.follow(aside)
    hand = kinematics.forward(home)
    assert hand_input.joints(hand) == pytest.approx(HandInput(kinematics, home).joints(hand), abs=1e-6)


@pytest.mark.parametrize("position", [(2.0, 0.0, 0.3), (0.0, 0.0, 0.05), (0.6, 0.0, -1.5)])
def test_a_hand_out_of_reach_is_refused_and_the_next_one_found(hand_input, kinematics, home, position):
    hand = kinematics.forward(home)
    with pytest.raises(SpaceError, match="out of the arm's reach"):
        hand_input.joints(Pose(np.array(position), hand.rotation))
    assert holds(kinematics, hand_input.joints(hand), hand)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(hand_input, kinematics, home, value):
    hand = kinematics.forward(home)
    for broken in (Pose(np.full(3, value), hand.rotation), Pose(hand.position, np.full((3, 3), value))):
        with pytest.raises(SpaceError, match="not finite"):
            hand_input.joints(broken)
