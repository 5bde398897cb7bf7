"""What a node says about itself on /diagnostics: state, rates, latencies, and problems the moment they appear."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from legion_ros.mending import Problem
from legion_ros.qos import EVENT, own_publisher
from legion_ros.stamps import NS_PER_S
from legion_ros.topics import DIAGNOSTICS

PERIOD_S = 0.5
MEMORY_S = 2.0
"""How long a problem stays in the report after its last occurrence."""

MEND = "mend."
"""Keys of the values that say how to mend a present problem begin so."""

Report = Callable[[], tuple[str, Mapping[str, object]]]


class _Occurrence(NamedTuple):
    level: bytes
    kind: Problem
    at: float


class Diagnostics:
    """Publishes the status of `node` twice a second and at once when a new problem appears.

    `report` gives the message and the values of the moment; `warn` and `error` add problems, each counted, and the
    status says how to mend them.
    """

    def __init__(self, node: Node, report: Report) -> None:
        self._node = node
        self._report = report
        self._problems: dict[str, _Occurrence] = {}
        self._counts: Counter[Problem] = Counter()
        self._publisher = own_publisher(node, DiagnosticArray, DIAGNOSTICS, EVENT)
        namespace = node.get_namespace().rstrip("/")
        self._name = f"{namespace}/{node.get_name()}"
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=steady)

    def warn(self, message: str, kind: Problem) -> None:
        """A problem the node works around."""
        self._problem(DiagnosticStatus.WARN, message, kind)

    def error(self, message: str, kind: Problem) -> None:
        """A problem that keeps the node from its work."""
        self._problem(DiagnosticStatus.ERROR, message, kind)

    def _problem(self, level: bytes, message: str, kind: Problem) -> None:
        new = message not in self._problems
        self._problems[message] = _Occurrence(level, kind, time.monotonic())
        self._counts[kind] += 1
        if new:
            if level == DiagnosticStatus.ERROR:  # two lines: rclpy keeps the severity of a line once it has logged
                self._node.get_logger().error(message)
            else:
                self._node.get_logger().warning(message)
            self.publish()

    def publish(self) -> None:
        """Publish the status now."""
        horizon = time.monotonic() - MEMORY_S
        self._problems = {message: last for message, last in self._problems.items() if last.at > horizon}
        message, values = self._report()
        level = max((last.level for last in self._problems.values()), default=DiagnosticStatus.OK)
        status = DiagnosticStatus(level=level, name=self._name, message="; ".join(self._problems) or message)
        counts = {f"{kind.value}_count": count for kind, count in sorted(self._counts.items())}
        mends = {f"{MEND}{last.kind.value}": last.kind.mend for last in self._problems.values()}
        status.values = key_values({**values, **counts, **mends})
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def key_values(values: Mapping[str, object]) -> list[KeyValue]:
    """The values as text, numbers with six digits."""
    return [
        KeyValue(key=key, value=f"{value:.6g}" if isinstance(value, float) else str(value))
        for key, value in values.items()
    ]


def seconds_since(node: Node, stamp_ns: int | None) -> float:
    """How old that stamp (ns) is by the node's clock; NaN where there is none."""
    return math.nan if stamp_ns is None else float((node.get_clock().now().nanoseconds - stamp_ns) / NS_PER_S)


class RateMeter:
    """Events a second since the last reading."""

    def __init__(self) -> None:
        self.count = 0
        self._last = (time.monotonic(), 0)
        self._rate = 0.0

    def tick(self) -> None:
        """One event."""
        self.count += 1

    def rate_hz(self) -> float:
        """The rate since the last call, at least 0.2 s ago."""
        now, (then, count) = time.monotonic(), self._last
        if now - then >= 0.2:
            self._rate = (self.count - count) / (now - then)
            self._last = (now, self.count)
        return self._rate


class LatencyMeter:
    """Median, 99th percentile and maximum of the newest 1,000 durations."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=1000)

    def add(self, seconds: float) -> None:
        """One duration in seconds."""
        self._seconds.append(seconds)

    def report(self) -> dict[str, object]:
        """The figures in milliseconds; empty before the first duration."""
        if not self._seconds:
            return {}
        median, p99, worst = 1e3 * np.percentile(np.array(self._seconds), (50, 99, 100))
        return {
            "latency_median_ms": float(median),
            "latency_p99_ms": float(p99),
            "latency_max_ms": float(worst),
        }
