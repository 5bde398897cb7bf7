"""One observation of one set of samples, and what must be known to make the same one again.

real2sim_node and a replay both make their observations here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from legion_core.spaces import Float32, Vector
from legion_ros import topics
from legion_ros.inputs import Sample
from legion_ros.reading import RobotReader
from legion_ros.stamps import NS_PER_S
from legion_sim2real.real2sim import Real2Sim, RobotState, Scene

ROBOT, GRIPPER = "the robot's state", "the gripper's state"
OTHERS = {"gripper": GRIPPER, "object": topics.OBJECT, "object2": topics.OBJECT2, "goal": topics.GOAL}
"""The inputs beside the robot's state, whose stamp an observation carries."""


def age_s(stamp_ns: int, sample_ns: int) -> float:
    """How much older than an observation a sample is; the same stamps give the same double."""
    return (stamp_ns - sample_ns) / NS_PER_S


class Origin(NamedTuple):
    """What, beside the values of its inputs, an observation follows from."""

    ages: Vector
    """How much older than the robot's state each of OTHERS was (s); NaN: there was none."""
    near: Vector
    """The joints (rad) that those of a measured hand were sought from; empty where joints are measured."""
    memory: Vector
    """What the object filters remembered; empty without."""
    way: Vector
    """Where the hand was at the times that they looked back to."""


class Observer:
    """Observations from samples of robot, gripper and scene; `origin_names` names the numbers of an origin."""

    def __init__(self, real2sim: Real2Sim, reader: RobotReader) -> None:
        self._real2sim, self._reader = real2sim, reader
        parts = (
            [f"{name}.age_s" for name in OTHERS],
            [f"near.{i}" for i in range(reader.began.size)],
            real2sim.memory_names,
            real2sim.way_names,
        )
        self.origin_names = tuple(name for part in parts for name in part)
        self._begins = np.cumsum([len(part) for part in parts[:-1]])

    def observe(self, samples: Mapping[str, Sample]) -> Float32:
        """The observation, with the stamp of the robot's sample."""
        robot, seen, second = samples[ROBOT], samples[topics.OBJECT], samples.get(topics.OBJECT2)
        state = RobotState(robot.stamp_ns / NS_PER_S, robot.value, float(samples[GRIPPER].value[0]))
        second_position = None if second is None else second.value
        scene = Scene(seen.value, second_position, samples[topics.GOAL].value, _seen_s(samples))
        return self._real2sim.observe(state, scene)

    def observe_and_tell(self, samples: Mapping[str, Sample]) -> tuple[Float32, Origin]:
        """The observation and its origin."""
        stamp_ns, memory = samples[ROBOT].stamp_ns, self._real2sim.memory
        observation = self.observe(samples)
        ages = [age_s(stamp_ns, samples[name].stamp_ns) if name in samples else math.nan for name in OTHERS.values()]
        way = self._real2sim.way(memory, _seen_s(samples))
        return observation, Origin(np.array(ages), self._reader.began, memory, way)

    def observe_again(self, samples: Mapping[str, Sample], origin: Origin) -> Float32:
        """The observation of these samples as it was made once."""
        self._real2sim.recall(origin.memory, origin.way, _seen_s(samples))
        return self.observe(samples)

    def origin_of(self, numbers: Vector) -> Origin:
        """The origin that these numbers are."""
        return Origin(*np.split(numbers, self._begins))


def _seen_s(samples: Mapping[str, Sample]) -> float:
    return samples[topics.OBJECT].stamp_ns / NS_PER_S
