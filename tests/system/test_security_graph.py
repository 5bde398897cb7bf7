"""The running graph against its policy (all it uses is allowed, nothing else is) and its sockets against loopback."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import deployment

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")
pytest.importorskip("viser", reason="the web extra is not installed")

from visualization_msgs.msg import MarkerArray

from legion_ros import topics
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.security import OPERATOR, Access, access_of, operator_access
from legion_ros.survey import survey
from legion_ros.web.client import PageClient

with socket.create_server(("127.0.0.1", 0)) as _free:
    PORT = _free.getsockname()[1]
CHOICES = {"namespace": "left", "real_time_factor": 0.5, "web": True, "web_port": PORT}
LOOPBACK, GROUP = "127.0.0.1", "239.255.0.1"
"""Fast DDS announces itself in a multicast group, which it joins on loopback."""


@pytest.fixture(scope="module")
def graph() -> Iterator[tuple[Any, Any]]:
    with deployment(**CHOICES) as running:
        yield running


def used_by(client: Any, node: str, namespace: str) -> Access:
    look = client.node
    found = {
        "publish": look.get_publisher_names_and_types_by_node(node, namespace),
        "subscribe": look.get_subscriber_names_and_types_by_node(node, namespace),
        "reply": look.get_service_names_and_types_by_node(node, namespace),
        "request": look.get_client_names_and_types_by_node(node, namespace),
    }
    return Access(**{kind: tuple(sorted(name for name, _ in pairs)) for kind, pairs in found.items()})


def test_the_policy_allows_what_is_used_and_nothing_else(graph: tuple[Any, Any]) -> None:
    starter, client = graph
    options = DeploymentOptions(**CHOICES)
    specs = {spec.name: spec for spec in deployment_graph(options)}
    running = [process.spec.name for process in starter.processes]
    assert {"sim2real_node", "watchdog_node", "mujoco_node"} <= set(running)
    # who watches makes the monitor listen to poses
    watching = client.node.create_subscription(MarkerArray, topics.MARKERS, lambda message: None, 1)
    with PageClient(f"http://127.0.0.1:{PORT}"):  # and web_node to everything that it shows
        for name in running:
            allowed = access_of(specs[name], options)
            client.wait(lambda name=name, allowed=allowed: used_by(client, name, "/left") == allowed, 15.0)
            assert used_by(client, name, "/left") == allowed, name
    client.node.destroy_subscription(watching)


def test_the_operator_uses_no_more_than_the_policy_allows(graph: tuple[Any, Any]) -> None:
    _, client = graph
    options = DeploymentOptions(**CHOICES)
    assert client.health(20.0), "as legion status asks"
    survey(client, options.profile, 0.5)  # as legion doctor does
    used, allowed = used_by(client, OPERATOR, "/left"), operator_access(options)
    for kind in ("publish", "subscribe", "reply", "request"):
        assert set(getattr(used, kind)) <= set(getattr(allowed, kind)), kind


def target_of(entry: Path) -> str:
    """What a file descriptor stands for; nothing if it was closed meanwhile."""
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""


def bound_by(pid: int) -> set[str]:
    """The local IP addresses of a process's sockets."""
    opened = " ".join(target_of(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    inodes = set(re.findall(r"socket:\[(\d+)\]", opened))
    addresses = set()
    for protocol in ("udp", "tcp"):
        for line in Path(f"/proc/{pid}/net/{protocol}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                little_endian = bytes.fromhex(fields[1].partition(":")[0])
                addresses.add(".".join(map(str, reversed(little_endian))))
    for protocol in ("udp6", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{protocol}").read_text(encoding="ascii").splitlines()[1:]:
            assert line.split()[9] not in inodes, f"an IPv6 socket: {line}"
    return addresses


def test_no_socket_is_open_beyond_loopback(graph: tuple[Any, Any]) -> None:
    starter, _ = graph
    for process in starter.processes:
        bound = bound_by(process.pid)
        assert LOOPBACK in bound, "the middleware uses no sockets, so this proves nothing"
        assert bound <= {LOOPBACK, GROUP}, process.spec.name
    joined = Path("/proc/net/igmp").read_text(encoding="ascii")
    device, members = "", {}
    for line in joined.splitlines()[1:]:
        if line[:1].isdigit():
            device = line.split()[1]
        else:
            members.setdefault(device, set()).add(line.split()[0])
    hexadecimal = "".join(f"{int(part):02X}" for part in reversed(GROUP.split(".")))
    assert {name for name, groups in members.items() if hexadecimal in groups} <= {"lo"}
