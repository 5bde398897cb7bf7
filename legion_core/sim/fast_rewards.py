"""Meta-World's reward methods with a faster `tolerance` below them.

Meta-World computes it with NumPy's array functions, up to a dozen times a step, which is most of what a reward costs.
"""

from __future__ import annotations

import math
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
from metaworld.utils import reward_utils


def tolerance(
    x: Any,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: float = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: float = 0.1,
) -> Any:
    """1 where `x` is within `bounds`, falling with the distance to them to `value_at_margin` at `margin`.

    Only numbers and the two sigmoids that the rewards use are computed here; the rest is left to Meta-World.
    """
    lower, upper = bounds
    if lower > upper or margin <= 0 or sigmoid not in _SIGMOIDS or not isinstance(x, float):
        return reward_utils.tolerance(x, bounds, margin, sigmoid, value_at_margin)
    if lower <= x <= upper:
        return 1.0
    distance = (lower - x if x < lower else x - upper) / margin
    return float(_SIGMOIDS[sigmoid](distance, value_at_margin))


def _long_tail(distance: float, value_at_1: float) -> float:
    scaled = distance * math.sqrt(1.0 / value_at_1 - 1.0)
    return 1.0 / (scaled * scaled + 1.0)


def _gaussian(distance: float, value_at_1: float) -> float:
    scaled = distance * _gaussian_scale(value_at_1)
    # NumPy's logarithm and exponential, which may differ from the C library's in the last bit
    return float(np.exp(-0.5 * (scaled * scaled)))


@cache
def _gaussian_scale(value_at_1: float) -> float:
    return float(np.sqrt(-2.0 * np.log(value_at_1)))


_SIGMOIDS = {"long_tail": _long_tail, "gaussian": _gaussian}
_FASTER = SimpleNamespace(**{**vars(reward_utils), "tolerance": tolerance})


def reward_methods(stock: type) -> dict[str, Any]:
    """The methods of a Meta-World class that use its module `reward_utils`, made to use the faster one instead."""
    members = {name: member for cls in reversed(stock.__mro__) for name, member in vars(cls).items()}
    return {
        name: _rebound(member)
        for name, member in members.items()
        if isinstance(member, FunctionType) and "reward_utils" in member.__code__.co_names
    }


def _rebound(function: FunctionType) -> FunctionType:
    scope = {**function.__globals__, "reward_utils": _FASTER}
    return FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
