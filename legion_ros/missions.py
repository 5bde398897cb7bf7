"""The operator's side of missions: asks for one and follows it to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from std_msgs.msg import String

from legion_core.errors import DeploymentError
from legion_core.mission_run import UNDER_WAY, MissionState
from legion_ros import topics
from legion_ros.client import LegionClient
from legion_ros.qos import EVENT, LATCHED


class Missions:
    """Missions of a client's deployment; `newest` is what `legion/mission/state` said last, {} before the first."""

    def __init__(self, client: LegionClient) -> None:
        self._client = client
        self.newest: dict[str, Any] = {}
        self._told: list[dict[str, Any]] = []
        self._request_publisher = client.node.create_publisher(String, topics.MISSION_REQUEST, EVENT)
        self._control_publisher = client.node.create_publisher(String, topics.MISSION_CONTROL, EVENT)
        client.node.create_subscription(String, topics.MISSION_STATE, self._on_state, LATCHED)

    def _on_state(self, message: String) -> None:
        self.newest = json.loads(message.data)
        self._told.append(self.newest)

    def control(self, word: str) -> None:
        """Pause, continue, skip, again or abort."""
        self._control_publisher.publish(String(data=word))

    def request(self, request: str, timeout_s: float = 10.0) -> None:
        """Ask for a mission by a request as `legion_core.mission.request_of` makes it.

        Raises:
            DeploymentError: nobody listens.
        """

        def heard() -> bool:
            return self._request_publisher.get_subscription_count() > 0 and bool(self.newest)

        if not self._client.wait(heard, timeout_s):
            where = self._request_publisher.topic_name
            raise DeploymentError(f"nobody listens on {where}: start a deployment first (legion deploy)")
        self._told.clear()
        self._request_publisher.publish(String(data=request))

    def carry_out(self, request: str, timeout_s: float = 10.0) -> Iterator[dict[str, Any]]:
        """Ask for a mission and follow it: its state whenever what there is to say of it changes, the last one its end.

        Raises:
            DeploymentError: nobody listens, or nobody begins.
        """
        self.request(request, timeout_s)
        if not self._client.wait(lambda: bool(self._told), timeout_s):
            raise DeploymentError(f"no mission began within {timeout_s:.0f} s")
        text, begun = "", False
        while True:
            self._client.wait(lambda: bool(self._told), 1.0)
            while self._told:
                told = self._told.pop(0)
                if told["text"] != text:
                    text = told["text"]
                    yield told
                begun = begun or told["state"] in UNDER_WAY
                idle = told["state"] == MissionState.IDLE  # after a beginning: mission_node was started again
                if told["state"] not in UNDER_WAY and not (begun and idle):
                    return
