"""The operator's side of missions: asks for one and follows it to its end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from std_msgs.msg import String

from legion_core.errors import DeploymentError
from legion_core.mission import parse_request, request_of
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
            return self._client.is_heard(self._request_publisher, "mission_node") and bool(self.newest)

        if not self._client.wait(heard, timeout_s):
            where = self._request_publisher.topic_name
            raise DeploymentError(f"nobody listens on {where}: start a deployment first (legion deploy)")
        self._told.clear()
        self._request_publisher.publish(String(data=request))

    def carry_out(self, request: str, timeout_s: float = 10.0) -> Iterator[dict[str, Any]]:
        """Ask for a mission and follow it: its state whenever what there is to say of it changes, the last one its end.

        Raises:
            ConfigurationError: that means no mission.
            DeploymentError: nobody listens, it is refused, another one takes its place, or nothing more is heard.
        """
        wanted = json.loads(request_of(parse_request(request)))
        self.request(request, timeout_s)
        text, begun, end = self.newest["text"], False, time.monotonic() + timeout_s
        for told in self._heard(timeout_s):
            under_way, mine = told["state"] in UNDER_WAY, told["request"] == wanted
            restarted = told["state"] == MissionState.IDLE  # it may come back to the mission
            begun = begun or (mine and under_way)
            if begun and not (mine or restarted):
                raise DeploymentError(f"another mission was begun: {told['title']}")
            refused = not under_way and told["text"] != text
            if not begun and (refused or time.monotonic() > end):
                raise DeploymentError(f"the mission has not begun: {told['text']}")
            if begun and told["text"] != text:
                text = told["text"]
                yield told
            if begun and not (under_way or restarted):
                return

    def _heard(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Every word of the state; a mission under way is told of several times a second."""
        while self._client.wait(lambda: bool(self._told), timeout_s):
            yield self._told.pop(0)
        raise DeploymentError(f"nothing was heard of a mission for {timeout_s:.0f} s; before: {self.newest['text']}")
