"""A recording as legion record writes it, made without a graph: real objects, messages serialised by rclpy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from std_msgs.msg import Bool, String

from legion_core.bundle import PolicyBundle
from legion_core.policy import LegionPolicy
from legion_core.spaces import ACTION_FIELDS, ObservationSpec
from legion_ros import topics
from legion_ros.inputs import Sample
from legion_ros.nodes.real2sim_node import _make_inputs
from legion_ros.observing import GRIPPER, ROBOT, Observer
from legion_ros.reading import RobotReader
from legion_ros.recording import kit
from legion_ros.recording.bag import Bag
from legion_ros.reply import Reply
from legion_ros.stamps import NS_PER_S, from_ns
from legion_ros.vector_messages import float32_array, float64_array, named_vector, pose_message
from legion_sim2real.camera import quaternion_from_rotation
from legion_sim2real.robot import load_profile

BEGIN_NS = 1_700_000_000 * NS_PER_S
MS = 1_000_000
PERIOD_NS = 20 * MS
TASKS = ("window-open", "reach")
QOS = QoSProfile(depth=1)
FRAME = "lbr_link_0"

Alter = Callable[[str, Any], Any]
"""What a message of a topic is recorded as; None: it is left out."""


class Tape:
    """A bag that is filled message by message."""

    def __init__(self, path: Path, alter: Alter) -> None:
        self.bag = Bag(path)
        self._alter = alter
        self._numbers: dict[str, int] = {}

    def say(self, topic: str, message: Any, at_ns: int) -> None:
        """A message that was published then, and received a little later."""
        full = topic if topic.startswith("/") else f"/{topic}"
        self._numbers[full] = self._numbers.get(full, 0) + 1
        message = self._alter(topic, deepcopy(message))
        if message is None:
            return
        if not self.bag.has(full):
            kind = type(message)
            self.bag.add_topic(full, f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}", [QOS])
        self.bag.add(full, at_ns + MS // 2, at_ns, serialize_message(message), self._numbers[full])


def same(topic: str, message: Any) -> Any:
    """As it is."""
    return message


def write_recording(
    path: Path, *, robot: str = "mujoco_gap", steps: int = 130, tasks: Iterable[str] = TASKS, alter: Alter = same
) -> Path:
    """Two tasks one after the other, with an object that a slow and noisy camera sees, and a stop at the end."""
    profile, bundle, rng = load_profile(robot), PolicyBundle.load(), np.random.default_rng(0)
    tape, policy = Tape(path, alter), LegionPolicy(bundle)
    reader = RobotReader(profile)
    observer = Observer(profile.make_real2sim(ObservationSpec()), reader)
    inputs = _make_inputs(profile, (topics.OBJECT,))
    chosen = kit.policy_files(None)
    described = {"namespace": "/", "legion_ros": "0.0.1", "robot": robot, "policy_sha256": kit.digest(chosen)}
    tape.bag.describe("legion", described)
    tape.bag.describe("parameters", {"policy_node": json.dumps({"policy": ""})})
    for name, content in {**kit.robot_files(profile), **chosen}.items():
        tape.bag.attach(name, kit.media_type(name), content, BEGIN_NS)
    tape.say(topics.E_STOP, Bool(data=False), BEGIN_NS)
    changes = dict(zip(range(0, steps, -(-steps // len(tuple(tasks)))), tasks, strict=True))
    rest, kinematics = np.array(profile.sim2real.posture_rad), profile.kinematics()
    names = [f"z{i}" for i in range(10)] + [f"component_{i}" for i in range(len(bundle.manifest.components))]
    seen_ns, seen = BEGIN_NS, np.zeros(3)
    for k in range(steps):
        now = BEGIN_NS + k * PERIOD_NS
        if task := changes.get(k):
            embedding = bundle.embedding(task)
            tape.say(topics.INSTRUCTION, String(data=f"please {task}"), now - 5 * MS)
            tape.say(topics.REPLY, String(data=str(Reply(True, f"please {task}", task))), now - 2 * MS)
            tape.say(topics.TASK_EMBEDDING, float32_array(embedding), now - 2 * MS)
            tape.say(topics.TASK, String(data=task), now - 2 * MS)
        joints = rest + 0.2 * np.sin(0.02 * k + np.arange(7))
        hand = kinematics.forward(joints)
        if k % 3 == 0 or profile.sync == "exact":
            seen_ns = now - (45 * MS if profile.sync == "latest" else 0)
            seen = np.array((0.6, 0.002 * k, 0.1)) + 0.004 * rng.standard_normal(3)
            tape.say(topics.OBJECT, pose_message(from_ns(seen_ns), FRAME, seen), now - 4 * MS)
            inputs.put(topics.OBJECT, Sample(seen_ns, seen))
        goal, stamp = np.array((0.7, 0.1, 0.2)), from_ns(now)
        tape.say(topics.GOAL, pose_message(stamp, FRAME, goal), now)
        inputs.put(topics.GOAL, Sample(now, goal))
        opening = profile.gripper.positions(0.5)
        tape.say(profile.gripper.state, named_vector(stamp, profile.gripper.joints, opening), now)
        inputs.put(GRIPPER, Sample(now, np.array((profile.gripper.opening(np.array(opening)),))))
        said: Any = named_vector(stamp, profile.joint_names, joints)
        if profile.input == "cartesian":
            said = pose_message(stamp, FRAME, hand.position, quaternion_from_rotation(hand.rotation))
        tape.say(profile.state_topic, said, now)
        samples = inputs.put(ROBOT, Sample(now, reader.joints(said)))
        if samples is None:
            continue
        values, origin = observer.observe_and_tell(samples)
        observation = named_vector(stamp, ObservationSpec().fields, values, frame="sim")
        tape.say(topics.OBSERVATION, observation, now + MS)
        told = named_vector(stamp, observer.origin_names, np.concatenate(origin))
        tape.say(topics.OBSERVATION_ORIGIN, told, now + MS)
        step = policy.act(bundle.spec.order(observation.name, observation.position), embedding)
        tape.say(topics.ACTION, named_vector(stamp, ACTION_FIELDS, step.action), now + 2 * MS)
        latent = np.concatenate((step.latent, step.responsibilities))
        tape.say(topics.LATENT, named_vector(stamp, names, latent), now + 2 * MS)
        tape.say(profile.command_topic, float64_array(joints), now + 4 * MS)
        if k % 25 == 0:
            mission = {"mission": "", "state": "running" if k < 75 else "succeeded", "step": k // 50}
            mission["steps"] = [{"task": task} for task in TASKS]
            tape.say(topics.MISSION_STATE, String(data=json.dumps(mission)), now)
            tape.say(topics.EPISODE, named_vector(stamp, ("step", "success"), (k, k > 50)), now)
            tape.say(topics.DIAGNOSTICS, _status("/sim2real_node", k), now)
    tape.say(topics.E_STOP, Bool(data=True), BEGIN_NS + (steps - 10) * PERIOD_NS)
    tape.bag.close()
    return path


def _status(node: str, count: int) -> DiagnosticArray:
    status = DiagnosticStatus(level=DiagnosticStatus.WARN, name=node, message="<late>")
    status.values = [KeyValue(key="guard.joint_jerk", value=str(count)), KeyValue(key="level", value="slow")]
    return DiagnosticArray(status=[status])
