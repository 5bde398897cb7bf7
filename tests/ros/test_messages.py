"""Vectors, stamps, replies and synchronisation: plain functions on messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import SpaceError
from legion_ros.inputs import ExactInputs, LatestInputs, Sample
from legion_ros.reply import Reply
from legion_ros.stamps import from_ns, from_seconds, to_ns, to_seconds
from legion_ros.vector_messages import NamedReader, float64_array, named_vector, pose_message, trajectory_message

NAMES = ("a", "b", "c")


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(nanoseconds: int) -> None:
    assert to_ns(from_ns(nanoseconds)) == nanoseconds


@given(st.integers(0, 10**6), st.integers(1, 500))
def test_simulated_time_survives_a_stamp(steps: int, rate_hz: int) -> None:
    seconds = round(steps / rate_hz * 1e9) / 1e9
    assert to_seconds(from_seconds(seconds)) == seconds


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=3, max_size=3))
def test_float32_survives_a_named_vector(values: list[float]) -> None:
    sent = np.array(values, np.float32)
    message = named_vector(Time(), NAMES, sent)
    received = NamedReader(NAMES, "vector").read(message.name, message.position) if np.isfinite(sent).all() else sent
    assert received.astype(np.float32).tobytes() == sent.tobytes()


def test_reader_follows_the_names() -> None:
    reader = NamedReader(NAMES, "joints")
    assert reader.read(["c", "x", "a", "b"], [3.0, 9.0, 1.0, 2.0]).tolist() == [1.0, 2.0, 3.0]
    assert reader.read(["a", "b", "c"], [1.0, 2.0, 3.0]).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (["a", "b"], [1.0, 2.0], "joints lacks c; it has: a, b"),
        ([], [], "joints lacks a, b, c"),
        (["a", "b", "c"], [1.0, 2.0], "3 names but 2 values"),
        (["a", "b", "c"], [1.0, math.nan, 2.0], "not a finite number: b"),
    ],
)
def test_reader_names_what_is_wrong(names: list[str], values: list[float], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        NamedReader(NAMES, "joints").read(names, values)


def test_messages_hold_what_they_were_given() -> None:
    assert list(float64_array((1.0, 2.0)).data) == [1.0, 2.0]
    pose = pose_message(Time(sec=3), "world", (1.0, 2.0, 3.0), (0.0, 0.0, 1.0, 0.0))
    assert (pose.header.stamp.sec, pose.header.frame_id) == (3, "world")
    assert (pose.pose.position.z, pose.pose.orientation.z, pose.pose.orientation.w) == (3.0, 1.0, 0.0)
    trajectory = trajectory_message(NAMES, (1.0, 2.0, 3.0), 1.25)
    assert trajectory.joint_names == list(NAMES)
    assert trajectory.points[0].time_from_start.sec == 1
    assert trajectory.points[0].time_from_start.nanosec == 250_000_000


@given(st.booleans(), st.text(max_size=50), st.text(max_size=50))
def test_reply_survives_its_line(accepted: bool, instruction: str, text: str) -> None:
    reply = Reply(accepted, instruction, text)
    assert Reply.parse(str(reply)) == reply


def test_what_is_no_reply_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with"):
        Reply.parse("hello there")


def sample(stamp_ns: int, value: float = 0.0) -> Sample:
    return Sample(stamp_ns, np.array([value]))


@given(st.permutations(["joints", "object", "goal"]))
def test_exact_inputs_come_out_once_in_any_order(order: list[str]) -> None:
    inputs = ExactInputs(("joints", "object", "goal"))
    assert [inputs.put(name, sample(7)) is not None for name in order] == [False, False, True]
    assert all(inputs.put(name, sample(7)) is None for name in order[:2])


def test_exact_inputs_never_mix_stamps() -> None:
    inputs = ExactInputs(("joints", "object"))
    assert inputs.put("object", sample(1)) is None
    assert inputs.put("joints", sample(2)) is None
    assert inputs.put("object", sample(2)) is not None
    assert inputs.problems() == []


def test_exact_inputs_say_what_never_came() -> None:
    inputs = ExactInputs(("joints", "object"))
    inputs.put("joints", sample(1))
    assert inputs.problems() == ["object has not come yet"]


def test_latest_inputs_follow_the_driver_at_its_rate() -> None:
    inputs = LatestInputs("joints", {"object": 0.1}, period_s=0.05)
    inputs.put("object", sample(0, 1.0))
    stamps = [i * 10_000_000 for i in range(1, 11)]  # 100 Hz in, 20 Hz out
    taken = [stamp for stamp in stamps if inputs.put("joints", sample(stamp)) is not None]
    assert taken == [10_000_000, 60_000_000]


def test_latest_inputs_refuse_old_and_absent_ones() -> None:
    inputs = LatestInputs("joints", {"object": 0.1, "goal": math.inf}, period_s=0.01)
    assert inputs.put("joints", sample(0)) is None
    assert inputs.problems() == ["object has not come yet", "goal has not come yet"]
    inputs.put("object", sample(0))
    inputs.put("goal", sample(0))
    assert inputs.put("joints", sample(100_000_000)) is not None
    assert inputs.put("joints", sample(120_000_001)) is None
    assert inputs.problems() == ["object is more than 0.1 s old"]


def test_latest_inputs_go_on_when_the_clock_was_set_back() -> None:
    inputs = LatestInputs("joints", {"object": 0.1}, period_s=0.05)
    inputs.put("object", sample(10_000_000_000))
    assert inputs.put("joints", sample(10_050_000_000)) is not None
    assert inputs.put("joints", sample(10_010_000_000)) is None, "overtaken on the way"
    assert inputs.put("object", sample(0)) is None
    assert inputs.put("joints", sample(50_000_000)) is not None
