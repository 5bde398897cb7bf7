"""Scripted experts: memoryless functions of Meta-World's observation, which a policy can imitate."""

from __future__ import annotations

from functools import cache
from typing import Any

import metaworld.policies as stock
import numpy as np

from legion_core.errors import TaskError, unknown
from legion_core.spaces import Vector
from legion_core.tasks import task_names

_STOCK = {
    "reach": "Reach",
    "push": "Push",
    "pick-place": "PickPlace",
    "door-open": "DoorOpen",
    "faucet-open": "FaucetOpen",
    "drawer-close": "DrawerClose",
    "button-press-topdown": "ButtonPressTopdown",
    "peg-unplug-side": "PegUnplugSide",
    "window-open": "WindowOpen",
    "window-close": "WindowClose",
}


@cache
def _stock(task: str) -> Any:
    return getattr(stock, f"Sawyer{_STOCK[task]}V3Policy")()


def expert_action(task: str, observation: Vector) -> Vector:
    """The action (4,) in [-1, 1] for Meta-World's observation (39,), goal included.

    Raises:
        TaskError: an unknown task.
    """
    if task not in _STOCK:
        raise TaskError(unknown("task", task, task_names()))
    # one of the stock experts writes into the observation it is given
    action: Vector = np.clip(_stock(task).get_action(observation.copy()), -1.0, 1.0)
    return action
