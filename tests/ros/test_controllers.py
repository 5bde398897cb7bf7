"""The presence of the robot's controller, with a real node of its name that takes the commands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rclpy.node import Node

from legion_ros.controllers import ControllerPresence, ListControllers
from legion_sim2real.robot import Controllers, load_profile

NAME = "forward_position_controller"
PROFILE = replace(load_profile("mujoco"), controllers=Controllers(NAME, None, None))


def presence(bench: Any) -> ControllerPresence:
    node = bench.start(lambda: Node("under_test"))
    return ControllerPresence(node, PROFILE)


def test_a_profile_that_names_none_misses_none(bench: Any) -> None:
    node = bench.start(lambda: Node("under_test"))
    assert ControllerPresence(node, load_profile("mujoco")).missing() is None


def test_the_controller_is_missed_until_it_is_there(bench: Any) -> None:
    watch = presence(bench)
    assert watch.missing() == (
        f"controller {NAME}: nobody of that name listens on lbr/forward_position_controller/commands"
    )
    bench.controller()
    assert bench.until(lambda: watch.missing() is None)


def test_another_listener_is_no_controller(bench: Any) -> None:
    watch = presence(bench)
    other = bench.controller("rosbag2_recorder")
    assert bench.until(lambda: other.count_subscribers(f"{NAME}/commands") > 0)
    bench.settle(0.3)
    assert watch.missing() is not None


def test_a_controller_that_vanishes_is_missed(bench: Any) -> None:
    watch = presence(bench)
    node = bench.controller()
    assert bench.until(lambda: watch.missing() is None)
    bench.remove(node)
    assert bench.until(lambda: watch.missing() is not None)


@pytest.mark.skipif(ListControllers is None, reason="controller_manager_msgs comes with ros2_control")
def test_a_controller_that_listens_but_is_not_active_is_missed(bench: Any) -> None:
    from controller_manager_msgs.msg import ControllerState

    watch, node = presence(bench), bench.controller()
    states = ["inactive"]

    def answer(request: Any, response: Any) -> Any:
        response.controller = [ControllerState(name=NAME, state=states[-1])]
        return response

    node.create_service(ListControllers, "controller_manager/list_controllers", answer)
    assert bench.until(lambda: "is inactive" in (watch.missing() or ""))
    states.append("active")
    assert bench.until(lambda: watch.missing() is None)
