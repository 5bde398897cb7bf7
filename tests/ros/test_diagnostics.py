"""What a node says about itself."""

from __future__ import annotations

from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from legion_ros import topics
from legion_ros.diagnostics import Diagnostics, LatencyMeter, RateMeter
from legion_ros.mending import Problem


@pytest.fixture
def diagnostics(bench: Any) -> Diagnostics:
    node = bench.start(lambda: Node("some_node", namespace="/left"))
    made = Diagnostics(node, lambda: ("working", {"count": 3, "rate_hz": 1 / 3}))
    bench.heard = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
    assert bench.until(lambda: bench.heard)
    return made


def newest(bench: Any) -> DiagnosticStatus:
    return bench.heard[-1].status[0]


def test_it_reports_by_itself(bench: Any, diagnostics: Diagnostics) -> None:
    status = newest(bench)
    assert (status.level, status.name, status.message) == (DiagnosticStatus.OK, "/left/some_node", "working")
    assert {pair.key: pair.value for pair in status.values} == {"count": "3", "rate_hz": "0.333333"}


def test_problems_appear_at_once_are_counted_and_pass(bench: Any, diagnostics: Diagnostics) -> None:
    before = len(bench.heard)
    diagnostics.warn("a little late", Problem.STALE_OBSERVATION)
    diagnostics.error("not a number", Problem.BAD_INPUT)
    diagnostics.error("not a number", Problem.BAD_INPUT)
    assert bench.until(lambda: len(bench.heard) >= before + 2, 0.4), "twice at once, not with the next period"
    assert bench.until(lambda: "not a number" in newest(bench).message)
    assert newest(bench).level == DiagnosticStatus.ERROR
    assert newest(bench).message == "a little late; not a number"
    mends = {pair.key: pair.value for pair in newest(bench).values if pair.key.startswith("mend.")}
    assert mends == {f"mend.{kind.value}": kind.mend for kind in (Problem.STALE_OBSERVATION, Problem.BAD_INPUT)}
    assert bench.until(lambda: newest(bench).message == "working", 5.0)
    assert newest(bench).level == DiagnosticStatus.OK
    assert {pair.key: pair.value for pair in newest(bench).values}["bad_input_count"] == "2"
    assert not [pair.key for pair in newest(bench).values if pair.key.startswith("mend.")], "nothing is left to mend"


def test_meters() -> None:
    latency = LatencyMeter()
    assert latency.report() == {}
    for milliseconds in range(1, 101):
        latency.add(milliseconds / 1e3)
    report = latency.report()
    assert report["latency_median_ms"] == pytest.approx(50.5)
    assert report["latency_p99_ms"] == pytest.approx(99.0, abs=0.1)
    assert report["latency_max_ms"] == pytest.approx(100.0)
    rate = RateMeter()
    rate.tick()
    assert rate.count == 1
    assert rate.rate_hz() == 0.0, "too early for a rate"
