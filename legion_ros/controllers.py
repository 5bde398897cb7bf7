"""Whether somebody takes the commands: the ros2_control controller that the robot's profile names."""

from __future__ import annotations

from typing import Any

from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

from legion_sim2real.robot import RobotProfile

try:
    from controller_manager_msgs.srv import ListControllers
except ImportError:  # it is not among the packages on PyPI, and comes with every ros2_control
    ListControllers = None

ACTIVE = "active"


class ControllerPresence:
    """Looks for the controller among the subscribers of the commands, and asks its controller manager where it can.

    A controller listens from its configuration on, so only the controller manager knows whether it is active.
    """

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        self._node = node
        self._controller = profile.controller
        self._topic = profile.command_topic
        self._manager = ""
        self._client: Client | None = None
        self._answer: Future | None = None
        self._state = ""

    def missing(self) -> str | None:
        """What is missing, in words; None: nothing, or the profile does not ask for a controller."""
        if self._controller is None:
            return None
        takers = self._node.get_subscriptions_info_by_topic(self._topic)
        found = next((info for info in takers if info.node_name == self._controller), None)
        if found is None:
            return f"controller {self._controller}: nobody of that name listens on {self._topic}"
        self._ask(f"{found.node_namespace.rstrip('/')}/controller_manager")
        if self._state not in ("", ACTIVE):
            return f"controller {self._controller} is {self._state}; activate it (ros2 control switch_controllers)"
        return None

    def _ask(self, manager: str) -> None:
        """Ask the controller manager, and take the answer to the question before."""
        if ListControllers is None:
            return
        if manager != self._manager:
            self.destroy()
            self._manager = manager
            self._client = self._node.create_client(ListControllers, f"{manager}/list_controllers")
        assert self._client is not None
        if self._answer is not None and self._answer.done():
            self._state = _state_of(self._answer.result(), self._controller)
            self._answer = None
        if self._answer is None and self._client.service_is_ready():
            self._answer = self._client.call_async(ListControllers.Request())

    def destroy(self) -> None:
        """Ask no longer."""
        if self._client is not None:
            self._node.destroy_client(self._client)
        self._client, self._answer, self._state, self._manager = None, None, "", ""


def _state_of(response: Any, controller: str | None) -> str:
    return next((each.state for each in response.controller if each.name == controller), "not loaded")
