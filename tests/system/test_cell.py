"""Two simulated arms in one ROS domain: each obeys its own operator, and neither hears the other's emergency stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from processes import alive
from running import POLICY

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")

from pathlib import Path

import yaml
from sensor_msgs.msg import JointState

from legion_ros.client import LegionClient
from legion_ros.qos import EVENT

LEGION = [sys.executable, "-m", "legion_ros.cli.main"]
SPEED = 0.2
"""Simulated seconds a second: both arms and their policies share this machine."""
TASKS = {"left": "door-open", "right": "drawer-close"}
MOVING_RAD, RESTING_RAD = 0.03, 0.01
"""What an arm at work moves in 0.2 s of its time at least, and an arm at rest at most."""


class Arm:
    """One arm of the cell and its operator."""

    def __init__(self, client: LegionClient) -> None:
        self.client = client
        self.positions: list[np.ndarray] = []
        client.node.create_subscription(JointState, "lbr/joint_states", self._note, EVENT)

    def _note(self, message: JointState) -> None:
        self.positions.append(np.array(message.position))

    def travel(self) -> float:
        """The largest movement of a joint over the next 0.2 s of the arm's time (10 joint states), rad."""
        begin = len(self.positions)
        assert self.client.wait(lambda: len(self.positions) >= begin + 10, 20.0), "no joint states"
        return float(np.ptp(np.stack(self.positions[begin:]), axis=0).max())

    def comes_to(self, moves: bool) -> bool:
        """Whether it comes to move, or to rest."""
        return any((self.travel() > MOVING_RAD) if moves else (self.travel() < RESTING_RAD) for _ in range(20))


def write_cell(folder: Path) -> Path:
    robots = [
        {"namespace": name, "policy": POLICY, "task": "reach", "real_time_factor": SPEED, "seed": index}
        for index, name in enumerate(TASKS)
    ]
    file = folder / "cell.yaml"
    file.write_text(yaml.safe_dump({"robots": robots}), encoding="utf-8")
    return file


def end(process: subprocess.Popen[str]) -> None:
    """Ctrl-C leaves nothing behind."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    assert len(children) >= 14
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not any(alive(int(child)) for child in children)


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Arm]]:
    """A cell of two arms that one command has brought up, in one domain."""
    command = [*LEGION, "deploy", "--cell", str(write_cell(tmp_path_factory.mktemp("cell")))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, ExitStack() as stack:
        assert process.stderr is not None
        assert any("running 2 robots" in line for line in process.stderr)
        try:
            yield {name: Arm(stack.enter_context(LegionClient(f"/{name}"))) for name in TASKS}
            end(process)
        finally:
            process.terminate()  # what has ended already is not told


@pytest.fixture
def working(arms: dict[str, Arm]) -> Iterator[dict[str, Arm]]:
    """Both arms on their tasks."""
    for name, arm in arms.items():
        assert arm.client.say(TASKS[name]).accepted
    for arm in arms.values():
        assert arm.comes_to(moves=True)
    yield arms
    for arm in arms.values():
        arm.client.e_stop(False)
        arm.client.say("")


def test_two_arms_obey_two_sentences_at_once(working: dict[str, Arm]) -> None:
    for name, arm in working.items():
        assert arm.client.wait(lambda arm=arm: arm.client.episode is not None and arm.client.episode.success, 90.0), (
            name
        )
        assert arm.client.task == TASKS[name]
        assert arm.client.wait(
            lambda arm=arm, name=name: arm.client.status_value("mujoco_node", "task") == TASKS[name], 5.0
        )


def test_the_stop_of_one_leaves_the_other_at_work(working: dict[str, Arm]) -> None:
    working["left"].client.e_stop(True)
    assert working["left"].comes_to(moves=False)
    # its own task may be done by now
    assert working["right"].client.say("open the window").accepted
    assert working["right"].comes_to(moves=True)
    assert working["left"].travel() < RESTING_RAD
    assert working["right"].client.status_value("sim2real_node", "e_stop") == "False"


def test_one_command_stops_all(working: dict[str, Arm]) -> None:
    with LegionClient() as anybody:
        assert sorted(anybody.e_stop_everywhere(True)) == ["/left/legion/e_stop", "/right/legion/e_stop"]
    for arm in working.values():
        assert arm.comes_to(moves=False)


def test_no_topic_but_the_common_ones_is_shared(working: dict[str, Arm]) -> None:
    """What both deployments use must be made for it."""
    node = working["left"].client.node
    users: dict[str, set[str]] = {}
    for name, namespace in node.get_node_names_and_namespaces():
        if namespace.strip("/") not in TASKS or name == "legion_operator":
            continue
        for look in (node.get_publisher_names_and_types_by_node, node.get_subscriber_names_and_types_by_node):
            for topic, _ in look(name, namespace):
                users.setdefault(topic, set()).add(namespace)
    shared = {topic for topic, namespaces in users.items() if len(namespaces) > 1}
    assert shared == {"/diagnostics", "/diagnostics_agg", "/parameter_events", "/rosout"}
    assert all(topic.startswith(("/left/", "/right/")) for topic in set(users) - shared)
