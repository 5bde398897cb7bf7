"""real2sim_node: consistent inputs become one observation; what is missing is named."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_core.spaces import DEFAULT_FIELDS, ObservationSpec
from legion_ros import topics
from legion_ros.nodes.real2sim_node import Real2SimNode
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import named_vector, pose_message
from legion_sim2real.real2sim import RobotState, Scene
from legion_sim2real.robot import load_profile

PROFILE = load_profile("mujoco")
JOINTS = PROFILE.joint_names
Q = np.array([0.1, 0.5, -0.2, -1.3, 0.1, 0.9, 0.3])
OBJECT, GOAL = np.array([0.5, 0.1, 0.02]), np.array([0.6, -0.1, 0.2])
MS = 1_000_000


class Talk:
    """The real2sim node with everything it hears and says."""

    def __init__(self, bench: Any, **parameters: Any) -> None:
        self.bench = bench
        self.node = bench.start(Real2SimNode, **parameters)
        self.observations = bench.listen(JointState, topics.OBSERVATION)
        self.reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
        self._joints = bench.talk(JointState, "lbr/joint_states")
        self._object = bench.talk(PoseStamped, topics.OBJECT)
        self._goal = bench.talk(PoseStamped, topics.GOAL)
        self._gripper = bench.talk(JointState, PROFILE.gripper.state)

    def joints(self, ns: int, names: Any = JOINTS, values: Any = Q) -> None:
        self._joints(named_vector(from_ns(ns), names, values))

    def scene(self, ns: int, opening: float = 0.5, position: Any = OBJECT, frame: str = "lbr_link_0") -> None:
        self._object(pose_message(from_ns(ns), frame, position))
        self._goal(pose_message(from_ns(ns), "lbr_link_0", GOAL))
        self._gripper(named_vector(from_ns(ns), ("gripper_opening",), (opening,)))

    def report(self) -> str:
        return " ".join(status.message for report in self.reports for status in report.status)


def own_profile(folder: Path, **changes: Any) -> Path:
    """The file of a profile that is the simulator's but for `changes`."""
    data = yaml.safe_load(resource("config/robots/mujoco.yaml").read_text(encoding="utf-8"))
    (folder / "arm.yaml").write_text(yaml.safe_dump({**data, **changes}), encoding="utf-8")
    return folder / "arm.yaml"


def test_one_observation_for_each_stamp(bench: Any) -> None:
    talk = Talk(bench)
    for ns in (20 * MS, 40 * MS):
        talk.scene(ns)
        talk.joints(ns)
        assert bench.until(lambda ns=ns: talk.observations and talk.observations[-1].header.stamp == from_ns(ns))
    bench.settle()
    assert len(talk.observations) == 2
    observation = talk.observations[0]
    assert tuple(observation.name) == DEFAULT_FIELDS
    expected = (
        load_profile("mujoco")
        .make_real2sim(ObservationSpec())
        .observe(RobotState(0.02, Q, 0.5), Scene(OBJECT, None, GOAL))
    )
    assert np.array(observation.position, np.float32).tobytes() == expected.tobytes()


def test_stamps_are_not_mixed(bench: Any) -> None:
    talk = Talk(bench)
    talk.scene(20 * MS)
    talk.joints(40 * MS)
    bench.settle()
    assert not talk.observations


def test_a_published_again_step_is_observed_again(bench: Any) -> None:
    talk = Talk(bench)
    for count in (1, 2):
        talk.scene(20 * MS)
        talk.joints(20 * MS)
        assert bench.until(lambda count=count: len(talk.observations) == count)


def test_joints_in_any_order_with_others_among_them(bench: Any) -> None:
    talk = Talk(bench)
    talk.scene(20 * MS)
    talk.joints(20 * MS)
    assert bench.until(lambda: len(talk.observations) == 1)
    talk.scene(40 * MS)
    talk.joints(40 * MS, ("lbr_left_finger", *reversed(JOINTS)), (0.02, *reversed(Q)))
    assert bench.until(lambda: len(talk.observations) == 2)
    assert talk.observations[0].position == talk.observations[1].position


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (JOINTS[1:], Q[1:], "lacks lbr_A1"),
        (JOINTS, Q[:3], "7 names but 3 values"),
        (JOINTS, [*Q[:6], math.inf], "not a finite number: lbr_A7"),
    ],
)
def test_bad_joint_states_are_named(bench: Any, names: Any, values: Any, message: str) -> None:
    talk = Talk(bench)
    talk.scene(20 * MS)
    talk.joints(20 * MS, names, values)
    assert bench.until(lambda: message in talk.report())
    assert not talk.observations


@pytest.mark.parametrize(
    ("opening", "position", "message"),
    [
        (math.nan, OBJECT, "legion/gripper/state: not a finite number: gripper_opening"),
        (0.5, [math.nan, 0.0, 0.0], "legion/scene/object: position is not finite"),
    ],
)
def test_bad_scenes_are_reported(bench: Any, opening: float, position: Any, message: str) -> None:
    talk = Talk(bench)
    talk.scene(20 * MS, opening, position)
    talk.joints(20 * MS)
    assert bench.until(lambda: message in talk.report())
    assert not talk.observations


def test_a_pose_in_a_frame_that_nobody_knows_is_named_and_not_used(bench: Any) -> None:
    talk = Talk(bench)
    talk.scene(20 * MS, frame="map")
    talk.joints(20 * MS)
    assert bench.until(lambda: "legion/scene/object: frame_id = 'map'; allowed: lbr_link_0" in talk.report())
    assert not talk.observations
    talk.scene(40 * MS, frame="")
    talk.joints(40 * MS)
    assert bench.until(lambda: talk.observations)


def test_a_gripper_of_other_units_and_names_is_read_by_its_profile(bench: Any, tmp_path: Path) -> None:
    gripper = {
        "command": "hand/command",
        "state": "hand/joint_states",
        "joints": ["left", "right"],
        "open": [0.04, -0.04],
        "closed": [0.0, 0.0],
        "command_open": [0.08, 20.0],
        "command_closed": [0.0, 20.0],
    }
    bench.start(Real2SimNode, robot=own_profile(tmp_path, gripper=gripper))
    observations = bench.listen(JointState, topics.OBSERVATION)
    messages = (
        (JointState, "hand/joint_states", named_vector(from_ns(MS), ("other", "right", "left"), (9.0, -0.03, 0.02))),
        (PoseStamped, topics.OBJECT, pose_message(from_ns(MS), "", OBJECT)),
        (PoseStamped, topics.GOAL, pose_message(from_ns(MS), "", GOAL)),
        (JointState, "lbr/joint_states", named_vector(from_ns(MS), JOINTS, Q)),
    )
    for kind, topic, message in messages:
        bench.talk(kind, topic)(message)
    assert bench.until(lambda: observations)
    values = dict(zip(observations[0].name, observations[0].position, strict=True))
    assert values["gripper_opening"] == pytest.approx((0.5 + 0.75) / 2)


def test_what_has_not_come_is_named(bench: Any) -> None:
    talk = Talk(bench)
    talk.joints(20 * MS)
    assert bench.until(lambda: f"{topics.OBJECT} has not come yet" in talk.report())


def test_on_a_robot_old_poses_stop_the_observations(bench: Any, tmp_path: Path) -> None:
    talk = Talk(bench, robot=own_profile(tmp_path, driver="ros2_control", sync="latest"))
    talk.scene(1000 * MS)
    talk.joints(1010 * MS)
    assert bench.until(lambda: len(talk.observations) == 1)
    talk.joints(1500 * MS)
    assert bench.until(lambda: "s old" in talk.report())
    assert len(talk.observations) == 1


def test_who_listens_is_told_what_an_observation_was_made_of(bench: Any, tmp_path: Path) -> None:
    """Also of which picture, where an older one comes late."""
    talk = Talk(bench, robot=own_profile(tmp_path, driver="ros2_control", sync="latest"))
    origins = bench.listen(JointState, topics.OBSERVATION_ORIGIN)
    bench.settle()
    talk.scene(1000 * MS)
    bench.settle()
    talk._object(pose_message(from_ns(950 * MS), "", OBJECT + 0.1))
    bench.settle()
    talk.joints(1010 * MS)
    assert bench.until(lambda: origins and talk.observations)
    assert origins[0].header.stamp == talk.observations[0].header.stamp == from_ns(1010 * MS)
    told = dict(zip(origins[0].name, origins[0].position, strict=True))
    assert math.isnan(told.pop("object2.age_s")), "there is none"
    assert told == {"gripper.age_s": 0.01, "object.age_s": 0.01, "goal.age_s": 0.01}


def test_a_robot_without_calibration_is_a_clear_error(bench: Any) -> None:
    with pytest.raises(ConfigurationError, match="calibration"):
        bench.start(Real2SimNode, robot="lbr")


def test_a_profile_of_ones_own(bench: Any, tmp_path: Path) -> None:
    names = {**dataclasses.asdict(PROFILE.topics), "joint_states": "arm/joint_states"}
    bench.start(Real2SimNode, robot=own_profile(tmp_path, topics=names))
    bench.talk(JointState, "arm/joint_states")
