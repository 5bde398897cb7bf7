"""The way from the end of one attempt to the start of the next: let go, rise, go to where the next one begins.

No task is at work then, and this is no policy: a straight, plain motion whose actions pass through the same bridge and
safety guard as the policy's. It leaves what was moved where it stands, and begins each attempt as training began one.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from legion_core.spaces import ACTION_SCALE_M, Float32, Vector

LABEL = "approach"
"""What tells its actions from a policy's."""
START_M = (0.0, 0.6, 0.2)
"""Where training began most tasks: above the middle of the table (hand, sim frame)."""
RISE_M = 0.12
"""Clear of a handle or puck that stood between the fingers."""
HEIGHTS_M = (0.25, 0.45)
"""The hand rises to somewhere between these, sim frame."""
REACHED_M = 0.025
GAIN = 0.1 / ACTION_SCALE_M
"""Action per metre of the way left: a tenth of it a step."""
OPEN = 0.9
"""Opening at which the gripper has let go."""
RELEASE_STEPS = 40
"""A gripper that is not open after so many observations goes no further, or tells nothing."""


class Stage(Enum):
    """What the hand is doing."""

    RELEASE = "letting go"
    RISE = "rising"
    GO = "going to where the step begins"
    DONE = "there"


class Approach:
    """The motion to `start_m` (hand, sim frame), or only up and away where that is None."""

    def __init__(self, start_m: tuple[float, float, float] | None) -> None:
        self._start = None if start_m is None else np.array(start_m)
        self._top: Vector | None = None
        self._waited = 0
        self.stage = Stage.RELEASE

    def act(self, hand: Vector, opening: float) -> Float32 | None:
        """The action (4,) that answers an observation of the hand (3,) and the gripper's opening; None: it is there."""
        if self.stage is Stage.RELEASE:
            self._waited += 1
            if opening < OPEN and self._waited <= RELEASE_STEPS:
                return _action(np.zeros(3))
            near = self._start is not None and bool(np.linalg.norm(self._start - hand) < 2 * REACHED_M)
            self._top = np.append(hand[:2], np.clip(hand[2] + RISE_M, *HEIGHTS_M))
            self.stage = Stage.GO if near else Stage.RISE
        if self.stage is Stage.RISE:
            assert self._top is not None
            # only the height counts: near its base the arm's own limits may lead the hand aside
            if self._top[2] - hand[2] > REACHED_M:
                return _action(self._top - hand)
            self.stage = Stage.GO
        if self.stage is Stage.GO and self._start is not None and np.linalg.norm(self._start - hand) > REACHED_M:
            return _action(self._start - hand)
        self.stage = Stage.DONE
        return None


def _action(way: Vector) -> Float32:
    motion = GAIN * way
    # scaled as a whole, so that the hand goes straight
    return np.append(motion / max(1.0, float(np.abs(motion).max())), -1.0).astype(np.float32)
