"""What is measured while the arm rests: its joint positions and, where it is asked for, a tag that a camera sees."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import numpy as np
from geometry_msgs.msg import PoseStamped

from legion_core.errors import CalibrationError
from legion_core.spaces import Vector
from legion_ros.client import LegionClient
from legion_ros.qos import SENSOR
from legion_ros.robot_io import RobotInput
from legion_ros.vector_messages import position_of, rotation_of
from legion_sim2real.camera import quaternion_from_rotation
from legion_sim2real.robot import RobotProfile

WINDOW_S = 1.0
"""A measurement is the mean over this time."""
REST_RAD = 0.001
"""A joint that moves by more than this in that time does not rest."""
PATIENCE_S = 10.0
"""How long an arm may take to come to rest, and its first message to arrive."""
FEWEST = 5
"""Messages that a measurement needs."""


@dataclass
class _Window:
    """The values that arrived during the last WINDOW_S seconds."""

    times: list[float] = field(default_factory=list)
    values: list[Vector] = field(default_factory=list)

    def put(self, value: Vector) -> None:
        self.times.append(time.monotonic())
        self.values.append(value)
        while self.times[0] < self.times[-1] - WINDOW_S:
            del self.times[0], self.values[0]

    def clear(self) -> None:
        self.times.clear()
        self.values.clear()

    @property
    def full(self) -> bool:
        return len(self.times) >= FEWEST and self.times[-1] - self.times[0] > 0.9 * WINDOW_S


class RestingArm:
    """Measures the joints of the profile's robot, and the poses of a tag on the topic `tag`, while the arm rests."""

    def __init__(self, client: LegionClient, profile: RobotProfile, tag: str | None = None) -> None:
        self._client = client
        self._topic = profile.state_topic
        self._tag = tag
        self._joints, self._tags = _Window(), _Window()
        self._problem = ""
        self._input = RobotInput(client.node, profile, lambda stamp, joints: self._joints.put(joints), self._complain)
        if tag is not None:
            client.node.create_subscription(PoseStamped, tag, self._on_tag, SENSOR)

    def _complain(self, problem: str) -> None:
        self._problem = f" ({problem})"

    def _on_tag(self, message: PoseStamped) -> None:
        self._tags.put(np.concatenate((position_of(message), quaternion_from_rotation(rotation_of(message)))))

    def ask(self) -> tuple[Vector, Vector] | None:
        """Wait for Enter, then measure: joints (7,) rad and the tag's position and quaternion (7,), (0,) without a tag.

        If the arm does not come to rest, the operator is told and Enter is waited for again. None when the operator
        ends by `q` or the end of the input.

        Raises:
            CalibrationError: the robot or the tag is silent.
        """
        while (line := sys.stdin.readline()) and line.strip().lower() != "q":
            measured = self.measure()
            if measured is not None:
                return measured
            print(f"  the arm moves: let it rest for {WINDOW_S:g} s, then press Enter again", flush=True)
        return None

    def measured(self, label: str) -> tuple[Vector, Vector]:
        """As `ask`, where the operator must not end before `label` is measured.

        Raises:
            CalibrationError: the robot or the tag is silent, or the operator ended.
        """
        found = self.ask()
        if found is None:
            raise CalibrationError(f"ended before {label}; nothing is written")
        return found

    def measure(self) -> tuple[Vector, Vector] | None:
        """The means while the arm rests; None if it does not come to rest."""
        for window in (self._joints, self._tags):
            window.clear()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._client.spin(0.1)
            if self._joints.full and np.ptp(self._joints.values, axis=0).max() <= REST_RAD:
                return np.mean(self._joints.values, axis=0), self._mean_tag()
        if not self._joints.full:
            raise CalibrationError(
                f"nothing usable on {self._topic} for {PATIENCE_S:g} s{self._problem}: is it running?"
            )
        return None

    def _mean_tag(self) -> Vector:
        if self._tag is None:
            return np.empty(0)
        if len(self._tags.values) < FEWEST:
            raise CalibrationError(f"the tag was not seen on {self._tag} while the arm rested")
        poses = np.array(self._tags.values)
        poses[:, 3:] *= np.where(poses[:, 3:] @ poses[0, 3:] < 0.0, -1.0, 1.0)[:, None]  # q and -q are one rotation
        mean: Vector = poses.mean(0)
        mean[3:] /= np.linalg.norm(mean[3:])
        return mean
