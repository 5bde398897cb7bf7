"""Nodes in this process: each test gets a fresh ROS context in a random domain that stays on this machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from legion_core.bundle import PolicyBundle
from legion_ros.domain import own_domain


@pytest.fixture(scope="session", autouse=True)
def domain() -> Iterator[int]:
    with own_domain() as number:
        yield number


@pytest.fixture(scope="session")
def bundle_folder(random_bundle: PolicyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A well-formed bundle on disk that knows nothing."""
    folder = tmp_path_factory.mktemp("bundles") / "random"
    random_bundle.save(folder)
    return folder


CONTROLLER = "forward_position_controller"
SPIN_S = 0.05


class Bench:
    """One or more nodes under test and a probe that talks to them, spun together."""

    def __init__(self) -> None:
        self._executor: SingleThreadedExecutor | None = None
        self._nodes: list[Node] = []
        self._clients: dict[str, Any] = {}

    def start(self, make: Callable[[], Node], **parameters: Any) -> Node:
        """Make the node with those parameters, as on the command line."""
        gc.collect()  # services of a lifecycle node outlive `destroy_node` and would be discovered as this one's
        arguments = ["--ros-args"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={value}"]
        rclpy.init(args=arguments)
        self._executor = SingleThreadedExecutor()
        node = make()
        self.probe = Node("probe", use_global_arguments=False)
        for each in (node, self.probe):
            self.add(each)
        return node

    def add(self, node: Node) -> None:
        """Another node that is spun with them."""
        assert self._executor is not None
        self._executor.add_node(node)
        self._nodes.append(node)

    def controller(self, name: str = CONTROLLER) -> Node:
        """A node of that name that takes the commands, as ros2_control's controller does."""
        node = Node(name, namespace="lbr", use_global_arguments=False)
        node.create_subscription(Float64MultiArray, f"{CONTROLLER}/commands", lambda message: None, 10)
        self.add(node)
        return node

    def remove(self, node: Node) -> None:
        """That node ends."""
        assert self._executor is not None
        self._executor.remove_node(node)
        self._nodes.remove(node)
        node.destroy_node()

    def listen(self, kind: Any, topic: str, qos: Any = 10) -> list[Any]:
        """A list to which every message on the topic is added."""
        heard: list[Any] = []
        self.probe.create_subscription(kind, topic, heard.append, qos)
        return heard

    def talk(self, kind: Any, topic: str, qos: Any = 10) -> Callable[[Any], None]:
        """What publishes on the topic; returns once the node under test listens."""
        publisher = self.probe.create_publisher(kind, topic, qos)
        assert self.until(lambda: publisher.get_subscription_count() > 0), f"nobody listens on {topic}"
        return publisher.publish

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """The answer of a service."""
        if name not in self._clients:  # each new client has to be discovered anew
            self._clients[name] = self.probe.create_client(kind, name)
        client = self._clients[name]
        assert self.until(client.service_is_ready), f"no service {name}"
        future = client.call_async(request)
        assert self.until(future.done), f"{name} does not answer"
        return future.result()

    def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
        """Spin until the condition holds."""
        assert self._executor is not None
        end = time.monotonic() + timeout_s
        while not (fulfilled := condition()) and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=SPIN_S)
        return fulfilled

    def settle(self, seconds: float = 0.3) -> None:
        """Spin for a while: for what must not happen. A machine that is held up meanwhile spins as often."""
        assert self._executor is not None
        end, spins = time.monotonic() + seconds, 0
        while time.monotonic() < end or spins < seconds / SPIN_S:
            self._executor.spin_once(timeout_sec=SPIN_S)
            spins += 1

    def close(self) -> None:
        for node in self._nodes:
            node.destroy_node()
        if self._executor is not None:
            self._executor.shutdown()
        rclpy.try_shutdown()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()
