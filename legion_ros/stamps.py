"""Header stamps as numbers: integer nanoseconds to compare, seconds to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time

NS_PER_S = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Nanoseconds of a stamp; exact, so that stamps of one step compare equal."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def to_seconds(stamp: Time) -> float:
    """Seconds of a stamp, the double nearest to it."""
    return to_ns(stamp) / NS_PER_S


def from_ns(nanoseconds: int) -> Time:
    """The stamp of that many nanoseconds."""
    from builtin_interfaces.msg import Time  # what only reads stamps needs no ROS

    seconds, rest = divmod(nanoseconds, NS_PER_S)
    return Time(sec=seconds, nanosec=rest)


def from_seconds(seconds: float) -> Time:
    """The stamp nearest to that many seconds."""
    return from_ns(round(seconds * NS_PER_S))
