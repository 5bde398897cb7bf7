"""What a node says about itself on /diagnostics: state, rates, latencies, and problems the moment they appear."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from legion_ros.qos import EVENT, own_publisher
from legion_ros.topics import DIAGNOSTICS

PERIOD_S = 0.5
MEMORY_S = 2.0
"""How long a problem stays in the report after its last occurrence."""

Report = Callable[[], tuple[str, Mapping[str, object]]]


class Diagnostics:
    """Publishes the status of `node` twice a second and at once when a new problem appears.

    `report` gives the message and the values of the moment; `warn` and `error` add problems, each counted.
    """

    def __init__(self, node: Node, report: Report) -> None:
        self._node = node
        self._report = report
        self._problems: dict[str, tuple[bytes, float]] = {}
        self._counts: Counter[str] = Counter()
        self._publisher = own_publisher(node, DiagnosticArray, DIAGNOSTICS, EVENT)
        namespace = node.get_namespace().rstrip("/")
        self._name = f"{namespace}/{node.get_name()}"
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=steady)

    def warn(self, message: str, kind: str = "problem") -> None:
        """A problem the node works around."""
        self._problem(DiagnosticStatus.WARN, message, kind)

    def error(self, message: str, kind: str = "problem") -> None:
        """A problem that keeps the node from its work."""
        self._problem(DiagnosticStatus.ERROR, message, kind)

    def _problem(self, level: bytes, message: str, kind: str) -> None:
        new = message not in self._problems
        self._problems[message] = (level, time.monotonic())
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
        self._problems = {m: (level, at) for m, (level, at) in self._problems.items() if at > horizon}
        message, values = self._report()
        level = max((level for level, _ in self._problems.values()), default=DiagnosticStatus.OK)
        status = DiagnosticStatus(level=level, name=self._name, message="; ".join(self._problems) or message)
        counts = {f"{kind}_count": count for kind, count in sorted(self._counts.items())}
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in {**values, **counts}.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
