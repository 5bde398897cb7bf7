"""What is wrong with a moving arm, judged from outside: by its measurements and its commands alone.

Time is that of the measurements' stamps, so that a slow machine delays an alarm and never raises one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

WINDOW_S = 0.1
"""Speed is the mean over so long: one late stamp is no motion."""
SPEED_MARGIN = 1.3
"""What a compliant arm may be faster than its limits when it catches up with a command."""
STILL = 1e-3
"""A command that differs from the one before by less (rad, or m of a pose) is one of an arm at rest."""
PAUSE_S = 0.3
"""After a longer time without measurement the arm may be elsewhere; a busy machine is not late by so much."""
HANG_S = 0.5
"""Commands that cease in mid-motion for so long have been left by whoever sent them; a driver may lose a few."""


class Watchdog:
    """Takes measurements and commands in, and says what is wrong.

    Args:
        fastest: the greatest speeds that are allowed, one for each number that is measured (rad/s, or m/s).
    """

    def __init__(self, fastest: Sequence[float]) -> None:
        self._fastest = tuple(fastest)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a pause."""
        self._measured: deque[tuple[float, Sequence[float]]] = deque()
        self._command: Sequence[float] | None = None
        self._in_motion = False
        self._commanded_s = -math.inf

    @property
    def commanded(self) -> bool:
        """Whether a command has come lately."""
        return bool(self._measured) and self._measured[-1][0] - self._commanded_s < HANG_S

    def measure(self, stamp_s: float, values: Sequence[float]) -> str | None:
        """Take a measurement of the arm in. Returns what is wrong, None for nothing."""
        if self._measured and not 0.0 <= stamp_s - self._measured[-1][0] <= PAUSE_S:
            self.forget()
        if self._measured and stamp_s == self._measured[-1][0]:
            return None
        self._measured.append((stamp_s, values))
        while len(self._measured) > 2 and stamp_s - self._measured[1][0] >= WINDOW_S:
            self._measured.popleft()
        return self._too_fast()

    def command(self, values: Sequence[float]) -> str | None:
        """Take a command in. Returns what is wrong, None for nothing."""
        if not all(map(math.isfinite, values)):
            return "a command that is not finite reached the robot"
        before = self._command
        self._in_motion = before is not None and any(abs(a - b) > STILL for a, b in zip(values, before, strict=False))
        self._command = values
        self._commanded_s = self._measured[-1][0] if self._measured else -math.inf
        return None

    def ceased(self) -> str | None:
        """Whether commands have ceased in mid-motion; to be asked when all that has come is taken in.

        In between, a busy machine's backlog of measurements would look like a time without commands.
        """
        if not self._in_motion or not self._measured or self._measured[-1][0] - self._commanded_s <= HANG_S:
            return None
        self._in_motion = False
        return f"commands ceased in mid-motion, {HANG_S:g} s ago"

    def _too_fast(self) -> str | None:
        (then_s, then), (now_s, now) = self._measured[0], self._measured[-1]
        span_s = now_s - then_s
        if span_s < WINDOW_S:
            return None
        for number, (a, b, fastest) in enumerate(zip(then, now, self._fastest, strict=True), 1):
            speed = abs(b - a) / span_s
            if speed > SPEED_MARGIN * fastest:
                return f"axis {number} moves at {speed:.2f}/s; allowed: {fastest:.2f}/s"
        return None
