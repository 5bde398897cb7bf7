"""The faster `tolerance` is Meta-World's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metaworld.utils import reward_utils

from legion_core.sim.fast_rewards import tolerance

metres = st.floats(-2.0, 2.0)


@given(
    x=metres.map(np.float64) | metres,
    ends=st.tuples(metres, metres).map(sorted),
    margin=st.floats(0.0, 2.0),
    sigmoid=st.sampled_from(("long_tail", "gaussian", "linear")),
)
def test_equals_metaworlds(x: float, ends: list[float], margin: float, sigmoid: str) -> None:
    bounds = (ends[0], ends[1])
    mine = tolerance(x, bounds, margin, sigmoid)
    assert mine == pytest.approx(reward_utils.tolerance(x, bounds, margin, sigmoid), rel=1e-14)
    assert isinstance(mine, float)


@pytest.mark.parametrize(("bounds", "margin"), [((1.0, 0.0), 0.1), ((0.0, 1.0), -0.1)])
def test_refuses_what_metaworld_refuses(bounds: tuple[float, float], margin: float) -> None:
    with pytest.raises(ValueError, match=r"bound|margin"):
        tolerance(0.5, bounds, margin, "long_tail")


def test_arrays_are_left_to_metaworld() -> None:
    x = np.linspace(0, 1, 5)
    np.testing.assert_array_equal(
        tolerance(x, (0.2, 0.4), 0.3, "long_tail"), reward_utils.tolerance(x, (0.2, 0.4), 0.3, "long_tail")
    )
