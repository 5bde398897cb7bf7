"""Declared parameters: typed, described, ranged, and nothing unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from legion_core.errors import ConfigurationError
from legion_ros.parameters import declare, parameter


@dataclass(frozen=True)
class Settings:
    rate_hz: float = parameter(5.0, "How often", minimum=1.0, maximum=10.0)
    count: int = parameter(3, "How many", minimum=0, maximum=9)
    mode: str = parameter("slow", "Which way", choices=("slow", "fast"))
    active: bool = parameter(True, "Whether at all")
    seed: int = parameter(0, "May change", minimum=0, maximum=100, dynamic=True)


def settings_of(bench: Any, **given: Any) -> tuple[Node, Settings]:
    node = bench.start(lambda: Node("some_node"), **given)
    return node, declare(node, Settings)


def test_defaults_and_given_values(bench: Any) -> None:
    _, settings = settings_of(bench, rate_hz=7, mode="fast", active="false")  # an integer for a number is welcome
    assert settings == Settings(rate_hz=7.0, mode="fast", active=False)


def test_every_parameter_is_described_and_ranged(bench: Any) -> None:
    node, _ = settings_of(bench)
    rate, count, seed = (node.describe_parameter(name) for name in ("rate_hz", "count", "seed"))
    assert rate.description == "How often"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (1.0, 10.0)
    assert count.integer_range[0].to_value == 9
    assert count.read_only
    assert not seed.read_only
    assert node.describe_parameter("mode").additional_constraints == "slow, fast"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"speed": 1}, "unknown parameter 'speed' .*; allowed: rate_hz, count, mode, active, seed, use_sim_time"),
        ({"rate_hz": 11.0}, r"rate_hz = 11.0; allowed: 1 to 10"),
        ({"rate_hz": "quick"}, "rate_hz = 'quick'; expected a number"),
        ({"count": 2.5}, "count = 2.5; expected an integer"),
        ({"count": "true"}, "count = True; expected an integer"),
        ({"mode": "medium"}, "mode = 'medium'; allowed: slow, fast"),
        ({"active": 1}, "active = 1; expected true or false"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(bench: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings_of(bench, **given)


def test_only_dynamic_parameters_change_later(bench: Any) -> None:
    node, _ = settings_of(bench)
    assert node.set_parameters([Parameter("seed", value=9)])[0].successful
    assert not node.set_parameters([Parameter("seed", value=-1)])[0].successful
    assert not node.set_parameters([Parameter("count", value=4)])[0].successful
