"""The object filter against a camera whose errors are known."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legion_core.errors import ConfigurationError
from legion_sim2real.filters import MEMORY, HandTrack, ObjectFilter, ObjectFilterConfig, ToldTrack
from legion_sim2real.robot import load_profile

CONFIG = load_profile("mujoco_gap").object_filter
NOISE_M, DELAY_S, PICTURE_S, STEP_S = 0.005, 0.06, 1 / 30, 0.02
START = np.array([0.5, 0.0, 0.1])
ASIDE = np.array([0.6, 0.3, 0.1])


def follow(hand, thing, config=CONFIG, noise_m=NOISE_M, steps=150, seed=0):
    """Errors (steps, 3) of the filter and of the raw pictures; `hand` and `thing` say where they are at a time."""
    rng, track, one = np.random.default_rng(seed), HandTrack(), ObjectFilter(config)
    pictures = [(k * PICTURE_S, thing(k * PICTURE_S) + rng.normal(scale=noise_m, size=3)) for k in range(200)]
    filtered, raw = [], []
    for step in range(steps):
        now = DELAY_S + step * STEP_S
        track.add(now, hand(now))
        stamp, seen = [picture for picture in pictures if picture[0] <= now - DELAY_S + 1e-9][-1]
        filtered.append(one.update(seen, stamp, track, now) - thing(now))
        raw.append(seen - thing(now))
    return np.array(filtered), np.array(raw)


def sweep(now):
    """A hand that stands, then moves at 0.25 m/s."""
    return START + np.array([0.0, 0.25, 0.0]) * max(0.0, now - 0.8)


def test_a_resting_object_loses_most_of_its_noise():
    filtered, raw = follow(lambda now: ASIDE, lambda now: START)
    assert raw[30:].std() == pytest.approx(NOISE_M, rel=0.15)
    assert filtered[30:].std() < 0.5 * NOISE_M


def test_an_object_in_the_hand_is_carried_along_without_delay():
    filtered, raw = follow(sweep, lambda now: sweep(now) - [0.0, 0.0, 0.04])
    late = slice(60, None)
    assert np.linalg.norm(raw[late], axis=1).mean() > 0.018
    assert np.linalg.norm(filtered[late], axis=1).mean() < 0.006


def test_a_hand_that_passes_takes_nothing_along():
    filtered, _ = follow(lambda now: START + np.array([0.0, 0.25 * now - 0.1, 0.05]), lambda now: START)
    assert np.linalg.norm(filtered, axis=1).max() < 0.025


def test_what_lies_out_of_reach_is_not_carried():
    config = dataclasses.replace(CONFIG, reach_m=0.0)
    filtered, _ = follow(sweep, lambda now: ASIDE, config, noise_m=0.0)
    assert np.abs(filtered).max() < 1e-5


def test_one_wild_picture_is_left_out_and_many_are_believed():
    track, one = HandTrack(), ObjectFilter(CONFIG)
    for step in range(20):
        track.add(step * STEP_S, START)
        one.update(START, step * STEP_S, track, step * STEP_S)
    elsewhere = ASIDE
    for count in range(1, CONFIG.outliers + 1):
        now = (19 + count) * STEP_S
        track.add(now, START)
        found = one.update(elsewhere, now, track, now)
        assert found == pytest.approx(elsewhere if count == CONFIG.outliers else START, abs=1e-6)


def test_the_same_picture_is_no_news():
    track, one = HandTrack(), ObjectFilter(CONFIG)
    track.add(0.0, START)
    first = one.update(START, 0.0, track, 0.0)
    track.add(0.02, START)
    assert np.array_equal(one.update(START + 0.01, 0.0, track, 0.02), first)


def test_a_stamp_from_before_or_long_after_begins_anew():
    for stamp in (-5.0, 5.0):
        track, one = HandTrack(), ObjectFilter(CONFIG)
        track.add(0.0, START)
        one.update(START, 0.0, track, 0.0)
        track.add(stamp, START)
        assert one.update(START + 0.02, stamp, track, stamp) == pytest.approx(START + 0.02)


def test_what_is_not_finite_stays_visible_and_is_not_learned():
    track, one = HandTrack(), ObjectFilter(CONFIG)
    track.add(0.0, START)
    one.update(START, 0.0, track, 0.0)
    assert np.isnan(one.update(np.full(3, np.nan), 0.01, track, 0.01)).all()
    assert one.update(START, 0.02, track, 0.02) == pytest.approx(START)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.lists(st.floats(-2, 2), min_size=6, max_size=6)),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_the_stamps_the_answer_is_finite(samples):
    track, one = HandTrack(), ObjectFilter(CONFIG)
    for now, stamp, numbers in samples:
        track.add(now, np.array(numbers[:3]))
        assert np.isfinite(one.update(np.array(numbers[3:]), stamp, track, now)).all()


def test_the_way_of_the_hand_is_interpolated():
    track = HandTrack()
    for stamp in (0.0, 0.1):
        track.add(stamp, START + stamp)
    assert track.at(0.025) == pytest.approx(START + 0.025)
    assert track.at(-1.0) == pytest.approx(START) and track.at(1.0) == pytest.approx(START + 0.1)


def test_a_way_that_was_told_is_that_way_at_the_times_told():
    track = ToldTrack({0.5: START, -math.inf: ASIDE})
    track.add(2.0, ASIDE)
    assert track.at(0.5) is START and track.at(-math.inf) is ASIDE and track.at(2.0) is ASIDE


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(ObjectFilterConfig)])
def test_nonsense_is_refused_by_name(key):
    with pytest.raises(ConfigurationError, match=f"{key} = "):
        dataclasses.replace(CONFIG, **{key: math.nan if key != "outliers" else 0})


def test_a_filter_that_is_given_the_memory_of_another_goes_on_as_that_one() -> None:
    rng, hand = np.random.default_rng(4), HandTrack()
    first, second = ObjectFilter(CONFIG), ObjectFilter(CONFIG)
    assert len(first.memory) == len(MEMORY)
    for k in range(60):
        now_s = 0.02 * k
        hand.add(now_s, np.array((0.5, 0.005 * k, 0.2)))
        measured = np.array((0.5, 0.005 * k, 0.1)) + 0.005 * rng.standard_normal(3)
        second.memory = first.memory
        found = [each.update(measured, now_s - 0.04, hand, now_s) for each in (first, second)]
        assert found[0].tobytes() == found[1].tobytes()
        assert first.memory.tobytes() == second.memory.tobytes()
