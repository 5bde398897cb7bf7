"""What the nodes of a running graph say of themselves: their parameters, asked for without waiting."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

REPEAT_S = 1.0
"""An answer may be lost while two nodes still discover each other: who says nothing for so long is asked again."""


class ParameterQuestions:
    """Asks nodes in this namespace for all their parameters; `answers` fills as they answer."""

    def __init__(self, node: Node, names: Iterable[str]) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self._node = node
        self._open: dict[str, tuple[Client, Client]] = {
            name: (
                node.create_client(ListParameters, f"{name}/list_parameters"),
                node.create_client(GetParameters, f"{name}/get_parameters"),
            )
            for name in names
        }
        self._asked_s: dict[str, float] = {}

    def ask(self) -> None:
        """Ask every node that is there and has not answered."""
        now = time.monotonic()
        for name, clients in list(self._open.items()):
            if name in self.answers:
                for client in self._open.pop(name):
                    self._node.destroy_client(client)
            elif now - self._asked_s.get(name, -REPEAT_S) >= REPEAT_S and all(c.service_is_ready() for c in clients):
                self._asked_s[name] = now
                future = clients[0].call_async(ListParameters.Request())
                future.add_done_callback(partial(self._on_names, name))

    def _on_names(self, name: str, future: Future) -> None:
        if name not in self._open:
            return  # another question was answered meanwhile
        names = future.result().result.names
        answer = self._open[name][1].call_async(GetParameters.Request(names=names))
        answer.add_done_callback(partial(self._on_values, name, names))

    def _on_values(self, name: str, names: list[str], future: Future) -> None:
        values = future.result().values
        self.answers[name] = {n: parameter_value_to_python(v) for n, v in zip(names, values, strict=True)}
