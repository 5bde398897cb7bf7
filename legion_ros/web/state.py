"""What the page tells, as it was heard last."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from legion_ros.diagnostics import MEND
from legion_ros.web.history import Curves, Tally

LINES = 10
"""How many replies and transcripts are shown."""
EPISODES, LATENCIES = 600, 600
"""Rows of the plots: a minute of episodes at 10 Hz, five minutes of diagnostics at 2 Hz."""


@dataclass(frozen=True)
class Line:
    """One thing that was said: by whom, and whether it is good news (None: neither)."""

    who: str
    text: str
    good: bool | None = None


@dataclass(frozen=True)
class Health:
    """One node or stream in the tree of diagnostics: `level` 0 well, 1 warning, 2 error, 3 silent; `mends` say what to
    do."""

    name: str
    level: int
    message: str
    mends: tuple[str, ...] = ()

    @classmethod
    def of(cls, status: DiagnosticStatus) -> Health:
        """That of a status."""
        mends = tuple(pair.value for pair in status.values if pair.key.startswith(MEND))
        return cls(status.name, int.from_bytes(status.level, "little"), status.message, mends)


@dataclass(frozen=True)
class MissionStep:
    """A step of a mission: its task, and how it stands."""

    task: str
    state: str
    attempt: int
    seconds: float


@dataclass(frozen=True)
class MissionState:
    """What mission_node says; `state` is '' before it has said anything."""

    title: str = ""
    state: str = ""
    text: str = ""
    task: str = ""
    success: bool = False
    steps: tuple[MissionStep, ...] = ()

    @classmethod
    def parse(cls, text: str) -> MissionState:
        """The state in a message of legion/mission/state.

        Raises:
            ValueError: it is none.
        """
        try:
            said: dict[str, Any] = json.loads(text)
            steps = tuple(
                MissionStep(str(s["task"]), str(s["state"]), int(s["attempt"]), float(s["seconds"]))
                for s in said["steps"]
            )
            title = str(said["title"] or said["mission"])
            task = str(said["task"])
            return cls(title, str(said["state"]), str(said["text"]), task, bool(said["success"]), steps)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the state of a mission: {error}") from error


@dataclass
class PageState:
    """Everything but the 3-D scene. Callbacks of ROS write it, the page's thread reads it; each field is replaced or
    appended to as a whole."""

    task: str = ""
    e_stop: bool = False
    stop_asked: str = ""
    """A wish about the emergency stop that is not confirmed yet, in words."""
    silent: bool = False
    """Whether sim2real_node, which moves the arm, says nothing any more."""
    guard: str = ""
    stop_reason: str = ""
    component: str = ""
    certainty: float = 0.0
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=LINES))
    mission: MissionState = MissionState()
    health: Sequence[Health] = ()
    tally: Tally = field(default_factory=Tally)
    episodes: Curves = field(default_factory=lambda: Curves(2, EPISODES))
    """Distance left (cm) and success (0 or 1)."""
    latencies: Curves = field(default_factory=lambda: Curves(2, LATENCIES))
    """Median and 99th percentile (ms) of joint state in to command out."""
