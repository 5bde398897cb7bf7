"""From what the robot and the cameras measure to the observation that the policy was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legion_core.spaces import Float32, ObservationSpec, TaskState, Vector
from legion_sim2real.calibration import Calibration
from legion_sim2real.filters import MEMORY, HandTrack, ObjectFilter, ObjectFilterConfig, ToldTrack
from legion_sim2real.kinematics import ArmKinematics


@dataclass(frozen=True, eq=False)
class RobotState:
    """What the robot measures: `stamp_s` (s), `joint_positions` (7,) rad in the order A1..A7 and the `gripper_opening`,
    0 closed to 1 open."""

    stamp_s: float
    joint_positions: Vector
    gripper_opening: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Where the task's things are: world positions (3,) in metres; `object2` is None where the task has one object.

    `stamp_s` is when the objects were seen, None where that is as new as the robot's state.
    """

    object: Vector
    object2: Vector | None
    goal: Vector
    stamp_s: float | None = None


class Real2Sim:
    """Packs measurements into the observation `spec` of a policy; with `filtering`, object positions are filtered."""

    def __init__(
        self,
        kinematics: ArmKinematics,
        calibration: Calibration,
        spec: ObservationSpec,
        filtering: ObjectFilterConfig | None = None,
    ) -> None:
        self.kinematics = kinematics
        self.calibration = calibration
        self.spec = spec
        self._hand = HandTrack()
        self._filters = (ObjectFilter(filtering), ObjectFilter(filtering)) if filtering else ()

    def reset(self) -> None:
        """Forget the objects that were seen: the next ones are others."""
        self._hand = HandTrack()
        for one in self._filters:
            one.reset()

    @property
    def memory_names(self) -> tuple[str, ...]:
        """What the numbers of `memory` are; empty without filtering."""
        return tuple(f"{thing}.{name}" for thing in ("object", "object2")[: len(self._filters)] for name in MEMORY)

    @property
    def memory(self) -> Vector:
        """What the next observation depends on besides its inputs and the hand's way."""
        return np.concatenate([one.memory for one in self._filters]) if self._filters else np.empty(0)

    @property
    def way_names(self) -> tuple[str, ...]:
        """What the numbers of `way` are; empty without filtering."""
        times = ("seen", "object", "object2")[: len(self._filters) + 1] if self._filters else ()
        return tuple(f"hand_{time}.{axis}" for time in times for axis in "xyz")

    def way(self, memory: Vector, seen_s: float) -> Vector:
        """Where the hand was (m) at the times that the last observation looked back to: that of the picture it was made
        of, `seen_s`, and those of the pictures in the `memory` it was made with."""
        return np.concatenate([self._hand.at(time) for time in self._looks(memory, seen_s)] or [np.empty(0)])

    def recall(self, memory: Vector, way: Vector, seen_s: float) -> None:
        """Make the next observation, of a picture taken at `seen_s`, as with this `memory` after this `way`."""
        for one, part in zip(self._filters, memory.reshape(-1, len(MEMORY)), strict=True):
            one.memory = part
        self._hand = ToldTrack(dict(zip(self._looks(memory, seen_s), way.reshape(-1, 3), strict=True)))

    def _looks(self, memory: Vector, seen_s: float) -> list[float]:
        return [seen_s, *memory[:: len(MEMORY)].tolist()] if self._filters else []

    def observe(self, state: RobotState, scene: Scene) -> Float32:
        """The observation, float32 (spec.size,), simulation frame. What is not finite in stays not finite out."""
        hand = self.kinematics.forward(state.joint_positions).position
        seen, second_seen = scene.object, scene.object if scene.object2 is None else scene.object2
        if self._filters and np.isfinite(hand).all():
            self._hand.add(state.stamp_s, hand)
            stamp_s = state.stamp_s if scene.stamp_s is None else scene.stamp_s
            seen = self._filters[0].update(seen, stamp_s, self._hand, state.stamp_s)
            if scene.object2 is not None:
                second_seen = self._filters[1].update(second_seen, stamp_s, self._hand, state.stamp_s)
        hand, first, second, goal = self.calibration.to_sim(np.stack((hand, seen, second_seen, scene.goal)))
        if scene.object2 is None:
            second = np.zeros(3)
        return self.spec.pack(TaskState(hand, first, goal, second, state.gripper_opening))
