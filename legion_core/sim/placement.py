"""Where the iiwa 7 stands when nothing else is said.

With the tool pointing down the wrist must stay 0.40 to 0.80 m from the shoulder; this pose keeps 0.99 to 1.0 of what
the experts visit inside that shell (`config/calibration_mujoco.yaml` tells it to the robot side).
"""

from __future__ import annotations

import math
from functools import cache

from legion_core.description import load_description
from legion_core.embodiment import Embodiment

BASE_POSITION_M = (0.50, 0.34, 0.25)
"""Origin of the robot's base in the sim frame. The height matters: from lower down the door's path is too near."""

BASE_YAW_RAD = math.radians(142.0)
"""Turn of the robot's base about z in the sim frame."""


@cache
def iiwa7() -> Embodiment:
    """The LBR iiwa 7 R800 at that place."""
    return Embodiment(load_description(), "lbr_hand", BASE_POSITION_M, BASE_YAW_RAD)
