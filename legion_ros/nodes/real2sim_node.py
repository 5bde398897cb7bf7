"""real2sim_node: joint states, gripper and object poses in, the policy's observation out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from legion_core.spaces import ObservationSpec, Vector
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics, RateMeter, seconds_since
from legion_ros.inputs import ExactInputs, LatestInputs, Sample
from legion_ros.mending import Problem
from legion_ros.observing import GRIPPER, ROBOT, Observer
from legion_ros.parameters import declare, parameter
from legion_ros.process import ControlPathSettings, run
from legion_ros.profiles import profile_of
from legion_ros.qos import own_publisher
from legion_ros.robot_io import RobotInput, gripper_input, pose_input
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import named_vector
from legion_sim2real.robot import RobotProfile

NAME = "real2sim_node"
AGES = {"joint_state_age_s": ROBOT, "gripper_age_s": GRIPPER, "object_age_s": topics.OBJECT}
"""Inputs whose ages are reported."""


@dataclass(frozen=True)
class Real2SimSettings(ControlPathSettings):
    """Parameters of the real2sim node."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    rate_hz: float = parameter(
        0.0, "Observations a second on a robot; 0: as the profile says", minimum=0.0, maximum=200.0
    )
    second_object: bool = parameter(False, "The scene has a second object, on legion/scene/object2")


class Real2SimNode(Node):
    """Publishes all known observation fields by name; each policy picks those it was trained on."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, Real2SimSettings)
        profile = profile_of(settings)
        self._spec = ObservationSpec()
        objects = (topics.OBJECT, topics.OBJECT2) if settings.second_object else (topics.OBJECT,)
        self._inputs = _make_inputs(profile, objects)
        self._newest_ns: dict[str, int] = {}
        self._rate = RateMeter()
        self._publisher = own_publisher(self, JointState, topics.OBSERVATION)
        self._origin_publisher = own_publisher(self, JointState, topics.OBSERVATION_ORIGIN)
        self._diagnostics = Diagnostics(self, self._report)
        complain = partial(self._diagnostics.error, kind=Problem.BAD_INPUT)
        for topic in (*objects, topics.GOAL):
            pose_input(self, profile, topic, partial(self._put, topic), complain)
        gripper_input(self, profile, partial(self._put, GRIPPER), complain)
        robot = RobotInput(self, profile, partial(self._put, ROBOT), complain)
        self._observer = Observer(profile.make_real2sim(self._spec), robot.reader)

    def _put(self, name: str, stamp_ns: int, value: Vector) -> None:
        """One more input; with the set complete, one observation with the stamp of its joint state."""
        self._newest_ns[name] = stamp_ns
        samples = self._inputs.put(name, Sample(stamp_ns, value))
        if samples is None:
            return
        stamp = from_ns(stamp_ns)
        origin = None
        if self._origin_publisher.get_subscription_count() > 0:
            observation, origin = self._observer.observe_and_tell(samples)
        else:
            observation = self._observer.observe(samples)
        self._publisher.publish(named_vector(stamp, self._spec.fields, observation, frame="sim"))
        if origin is not None:
            self._origin_publisher.publish(named_vector(stamp, self._observer.origin_names, np.concatenate(origin)))
        self._rate.tick()

    def _report(self) -> tuple[str, dict[str, object]]:
        waiting = self._inputs.problems()
        ages = {key: seconds_since(self, self._newest_ns.get(name)) for key, name in AGES.items()}
        values: dict[str, object] = {"rate_hz": self._rate.rate_hz(), "observations": self._rate.count, **ages}
        return "; ".join(waiting) or "observing", values


def _make_inputs(profile: RobotProfile, objects: tuple[str, ...]) -> ExactInputs | LatestInputs:
    if profile.sync == "exact":
        return ExactInputs((ROBOT, GRIPPER, topics.GOAL, *objects))
    oldest_s = profile.load_safety().object_timeout_s
    # a goal is a wish, not a measurement: it does not age
    ages = {GRIPPER: oldest_s, topics.GOAL: math.inf, **dict.fromkeys(objects, oldest_s)}
    return LatestInputs(ROBOT, ages, 1.0 / profile.rate_hz)


def main() -> None:
    """Entry point of the executable."""
    run(NAME, Real2SimNode)


if __name__ == "__main__":
    main()
