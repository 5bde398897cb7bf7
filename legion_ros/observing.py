"""One observation of one set of samples, and what must be known to make the same one again.

real2sim_node and a replay both make their observations here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

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


class Observer:
    """Observations from samples of the robot, the gripper and the scene.

    `origin_names` names the numbers of `origin`: the age of each input (s), the joints (rad) that those of a measured
    hand were sought from, and the memory of the object filters.
    """

    def __init__(self, real2sim: Real2Sim, reader: RobotReader) -> None:
        self._real2sim, self._reader = real2sim, reader
        self.origin_names = (
            *(f"{name}.age_s" for name in OTHERS),
            *(f"near.{i}" for i in range(reader.began.size)),
            *real2sim.memory_names,
        )

    def origin(self, samples: Mapping[str, Sample]) -> Vector:
        """What, beside the inputs' values, the observation of these samples will follow from; a missing input has the
        age NaN. To be asked before `observe`."""
        stamp_ns = samples[ROBOT].stamp_ns
        ages = [age_s(stamp_ns, samples[name].stamp_ns) if name in samples else math.nan for name in OTHERS.values()]
        return np.concatenate((ages, self._reader.began, self._real2sim.memory))

    def observe(self, samples: Mapping[str, Sample]) -> Float32:
        """The observation, with the stamp of the robot's sample."""
        robot, seen, second = samples[ROBOT], samples[topics.OBJECT], samples.get(topics.OBJECT2)
        state = RobotState(robot.stamp_ns / NS_PER_S, robot.value, float(samples[GRIPPER].value[0]))
        second_position = None if second is None else second.value
        scene = Scene(seen.value, second_position, samples[topics.GOAL].value, seen.stamp_ns / NS_PER_S)
        return self._real2sim.observe(state, scene)
