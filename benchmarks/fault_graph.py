"""The running graph with a man in the middle: every stream passes a relay that can spoil it, and what the robot does is
recorded. The fault matrix and the tests of faults share it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray

from legion_core.bundle import PolicyBundle
from legion_core.errors import DeploymentError
from legion_ros import topics
from legion_ros.client import LegionClient
from legion_ros.deployment import DeploymentOptions, NodeSpec, Respawn, deployment_graph
from legion_ros.qos import EVENT, own_publisher
from legion_ros.stamps import NS_PER_S, from_ns, to_ns, to_seconds
from legion_ros.starter import Starter
from legion_sim2real.robot import load_profile
from legion_sim2real.watchdog import STILL

PROFILE = load_profile("mujoco")
JOINTS, COMMANDS = PROFILE.topics.joint_states, PROFILE.topics.position_command
GRIPPER_STATE, GRIPPER_COMMAND = PROFILE.gripper.state, PROFILE.gripper.command
STREAMS: dict[str, dict[str, Any]] = {
    "mujoco_node": {
        JOINTS: JointState,
        GRIPPER_STATE: JointState,
        topics.OBJECT: PoseStamped,
        topics.GOAL: PoseStamped,
        "/clock": ClockMessage,
    },
    "real2sim_node": {topics.OBSERVATION: JointState},
    "policy_node": {topics.ACTION: JointState},
    "sim2real_node": {COMMANDS: Float64MultiArray, GRIPPER_COMMAND: Float64MultiArray},
}
"""The streams that can be spoiled, by the node that publishes them."""
FROM_ROBOT = (JOINTS, GRIPPER_STATE, topics.OBJECT, topics.GOAL)
BEFORE_RELAY = "_before_relay"
MOVING_RAD_S = 0.3
REST_RAD_S = 0.05
"""A joint of the compliant arm that is slower than this rests."""
STEADY_S = 0.1
"""A command that stays for so long is held; a pause in the commands of that length ends the stream."""
READY_S = 240.0

Delayed = Iterable[tuple[float, Any]]
Effect = Callable[[Any], Delayed]
"""What becomes of one message: any number of messages, each after so many seconds of wall time."""


def intercepted_graph(policy: str, speed: float) -> tuple[NodeSpec, ...]:
    """The deployment whose publishers speak to the relays. Its robot can be brought up again, as a driver can."""
    options = DeploymentOptions(policy=policy, real_time_factor=speed, follow_task=False)
    graph = []
    for spec in deployment_graph(options):
        renamed = tuple((name, name + BEFORE_RELAY) for name in STREAMS.get(spec.name, ()))
        respawn = Respawn() if spec.name == "mujoco_node" else spec.respawn
        graph.append(replace(spec, remappings=(*spec.remappings, *renamed), respawn=respawn))
    return tuple(graph)


class Relay:
    """One stream: what is published on it passes `effect`, if there is one, on its way to the subscribers."""

    def __init__(self, graph: FaultGraph, topic: str, kind: Any) -> None:
        self.effect: Effect | None = None
        self.on_sent: Callable[[Any, float], None] | None = None
        self.on_delivered: Callable[[Any], None] | None = None
        self._graph, self._kind = graph, kind
        node = graph.client.node
        self._publisher = own_publisher(node, kind, topic, EVENT)
        node.create_subscription(kind, topic + BEFORE_RELAY, self._on_message, EVENT, raw=True)

    def _on_message(self, raw: bytes, info: dict[str, int]) -> None:
        if self.effect is None and self.on_sent is None and self.on_delivered is None:
            self._publisher.publish(raw)
            return
        message = deserialize_message(raw, self._kind)
        if self.on_sent is not None:
            self.on_sent(message, info["source_timestamp"] / NS_PER_S)
        for delay_s, changed in ((0.0, message),) if self.effect is None else self.effect(message):
            if delay_s <= 0.0:
                self.deliver(changed)
            else:
                self._graph.later(delay_s, self, changed)

    def deliver(self, message: Any) -> None:
        """Publish a message to the subscribers."""
        self._publisher.publish(message)
        if self.on_delivered is not None:
            self.on_delivered(message)


@dataclass(frozen=True, eq=False)
class Sample:
    """Joint positions (7,) rad, measured or commanded: when they were seen here, and when they were made (s)."""

    seen_s: float
    time_s: float
    positions: np.ndarray
    speed: float = math.nan
    """The fastest joint's, rad/s; only of measurements."""


class Recorder:
    """What the robot measures, what it is commanded, and what sim2real_node commanded before the relay.

    Seconds are those of the robot: wall time times `speed`.
    """

    def __init__(self, speed: float) -> None:
        self.exact = speed == 1.0
        """Whether times are known well enough to tell velocities: in simulated time only the newest state's is."""
        self._speed = speed
        self.joints: list[Sample] = []
        self.sent: list[Sample] = []
        self.received: list[Sample] = []

    def now_s(self) -> float:
        """The time since an arbitrary moment, in seconds of the robot."""
        return time.monotonic() * self._speed

    def clear(self) -> None:
        """Begin anew."""
        self.joints, self.sent, self.received = self.joints[-1:], [], []

    def on_joints(self, message: JointState, sent_s: float) -> None:
        """A measurement, before any fault."""
        stamp_s, speed = to_seconds(message.header.stamp), float(np.abs(message.velocity).max())
        self.joints.append(Sample(self.now_s(), stamp_s, np.array(message.position), speed))

    def on_sent(self, message: Float64MultiArray, sent_s: float) -> None:
        """A command as it left sim2real_node at the wall time `sent_s`."""
        made_s = sent_s if self.exact else self.joints[-1].time_s
        self.sent.append(Sample(self.now_s(), made_s, np.array(message.data)))

    def on_received(self, message: Float64MultiArray) -> None:
        """A command as the robot gets it."""
        self.received.append(Sample(self.now_s(), math.nan, np.array(message.data)))

    @property
    def moves(self) -> bool:
        """Whether the arm is well under way, and commanded to go on: a loaded machine may hold it for a moment."""
        newest, commands = self.joints[-3:], self.received[-2:]
        if len(newest) < 3 or len(commands) < 2:
            return False
        goes_on = np.abs(commands[1].positions - commands[0].positions).max() > STILL
        return bool(goes_on) and min(sample.speed for sample in newest) > MOVING_RAD_S

    def held_after_s(self, since_s: float) -> float:
        """Seconds from `since_s` until the command stays for STEADY_S; infinite where it never does."""
        before = [sample for sample in self.received if sample.seen_s <= since_s]
        stream = before[-1:] + [sample for sample in self.received if sample.seen_s > since_s]
        changed = [b.seen_s for a, b in itertools.pairwise(stream) if (a.positions != b.positions).any()]
        return _settled([since_s, *changed], self.now_s(), STEADY_S) - since_s

    def rests_after_s(self, since_s: float) -> float:
        """Seconds from `since_s` until the arm rests for half of STEADY_S; not a number where nothing was measured."""
        late = [sample for sample in self.joints if sample.seen_s > since_s]
        if not late:
            return math.nan
        fast = [sample.seen_s for sample in late if sample.speed > REST_RAD_S]
        return _settled([since_s, *fast], self.now_s(), STEADY_S / 2) - since_s

    def travel(self, since_s: float) -> float:
        """The largest joint movement from `since_s` on, rad; not a number where nothing was measured."""
        late = [sample.positions for sample in self.joints if sample.seen_s >= since_s]
        return float(np.ptp(np.stack(late), axis=0).max()) if late else math.nan


def _settled(events: Sequence[float], end_s: float, quiet_s: float) -> float:
    """The first of the `events` that is followed by `quiet_s` without one."""
    following = [*events[1:], end_s]
    return next((a for a, b in zip(events, following, strict=True) if b - a >= quiet_s), math.inf)


class FaultGraph:
    """The graph, its operator and the relays; a context manager. `speed`: simulated seconds a second.

    `starter`, `client` and `recorder` are for everybody's use.
    """

    def __init__(self, policy: str = "", speed: float = 1.0) -> None:
        self.speed = speed
        self.bundle = PolicyBundle.load(policy or None)
        self.starter = Starter(intercepted_graph(policy, speed))
        self.client = LegionClient()
        self.recorder = Recorder(speed)
        node = self.client.node
        self._e_stop = own_publisher(node, Bool, topics.E_STOP, EVENT)
        self._due: list[tuple[float, int, Relay, Any]] = []
        self._order = itertools.count()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(0.002, self._deliver_due, clock=steady)
        self._timer.cancel()
        kinds = {topic: kind for streams in STREAMS.values() for topic, kind in streams.items()}
        self.relays = {topic: Relay(self, topic, kind) for topic, kind in kinds.items()}
        self.relays[JOINTS].on_sent = self.recorder.on_joints
        self.relays[COMMANDS].on_sent = self.recorder.on_sent
        self.relays[COMMANDS].on_delivered = self.recorder.on_received

    def __enter__(self) -> FaultGraph:
        self.client.__enter__()
        self.starter.__enter__()
        self.wait_ready()
        return self

    def __exit__(self, *reason: Any) -> None:
        self.starter.__exit__(*reason)
        self.client.__exit__(*reason)

    # time

    def later(self, delay_s: float, relay: Relay, message: Any) -> None:
        """Deliver a message after `delay_s` of wall time."""
        heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._order), relay, message))
        self._timer.reset()

    def _deliver_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, relay, message = heapq.heappop(self._due)
            relay.deliver(message)
        if not self._due:
            self._timer.cancel()

    def pass_time(self, seconds: float) -> None:
        """Let the graph run for so many seconds of the robot, without looking after its processes."""
        self.client.spin(seconds / self.speed)

    def need(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait for what must come.

        Raises:
            DeploymentError: it does not come in time.
        """
        if not self.wait(condition, seconds):
            raise DeploymentError(f"{otherwise} (logs: {self.starter.folder})")

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let the graph run until the condition holds, at most so many seconds of the robot; the dead are raised."""

        def looked_after() -> bool:
            self.starter.poll()
            return condition()

        return self.client.wait(looked_after, seconds / self.speed)

    def wait_ready(self) -> None:
        """Until every process does its work."""
        self.need(lambda: self.starter.ready, READY_S * self.speed, "not every node is ready")

    # the operator

    def begin(self, task: str, seed: int) -> None:
        """A new episode in which the arm is well under way with the task; nothing is stopped."""
        self.wait_ready()
        self.client.say("")
        self.client.e_stop(False)
        self.new_scene(task, seed)
        self.say(task)
        self.need(lambda: self.recorder.moves, 10.0, f"{task}: the arm does not move")

    def new_scene(self, task: str, seed: int) -> None:
        """The robot at home in front of another layout."""
        self.client.episode = self.client.success = None
        self.client.reset_simulator(task=task, seed=seed)
        began = len(self.recorder.joints)
        self.need(lambda: len(self.recorder.joints) > began + 2, 10.0, "the robot is silent")
        self.recorder.clear()

    def say(self, task: str) -> None:
        """Ask for a task."""
        reply = self.client.say(self.bundle.manifest.task(task).description)
        if not reply.accepted:
            raise DeploymentError(str(reply))

    def engage_e_stop(self) -> None:
        """As anybody may: on the topic."""
        self._e_stop.publish(Bool(data=True))

    def success(self) -> bool:
        """Whether the task is done in the running episode."""
        return self.client.success is not None


# faults of processes


@contextmanager
def killed(graph: FaultGraph, *nodes: str) -> Iterator[None]:
    """kill -9; afterwards they are started again."""
    victims = {node: graph.starter[node].pid for node in nodes}
    for node in nodes:
        graph.starter[node].signal(9)
    yield
    starter, seconds = graph.starter, READY_S * graph.speed
    graph.need(lambda: all(starter[n].pid not in (None, pid) for n, pid in victims.items()), seconds, "no restart")
    graph.wait_ready()
    for node in nodes:
        starter[node].restarts = 0  # every fault is the first of its deployment


@contextmanager
def hanging(graph: FaultGraph, node: str) -> Iterator[None]:
    """Stopped, and continued afterwards."""
    graph.starter[node].signal(19)
    yield
    graph.starter[node].signal(18)


# faults of streams


@contextmanager
def spoiled(graph: FaultGraph, names: Iterable[str], make: Callable[[], Effect]) -> Iterator[None]:
    """Each of the streams through an effect of its own."""
    relays = [graph.relays[name] for name in names]
    for relay in relays:
        relay.effect = make()
    yield
    for relay in relays:
        relay.effect = None


def silence() -> Effect:
    """Nothing arrives."""
    return lambda message: ()


def loss(rng: random.Random, share: float) -> Effect:
    """A random share is lost."""
    return lambda message: () if rng.random() < share else ((0.0, message),)


def duplicates(delay_s: float) -> Effect:
    """Each message comes twice at once, and once more after `delay_s`."""
    return lambda message: ((0.0, message), (0.0, message), (delay_s, message))


def reordered() -> Effect:
    """Every second message overtakes the one before."""
    held: list[Any] = []

    def effect(message: Any) -> Delayed:
        if not held:
            held.append(message)
            return ()
        return (0.0, message), (0.0, held.pop())

    return effect


def bursts(delay_s: float, every_s: float) -> Effect:
    """Every `every_s` nothing comes for `delay_s`, then all of it at once."""

    def effect(message: Any) -> Delayed:
        phase = time.monotonic() % every_s
        return (((delay_s - phase) if phase < delay_s else 0.0, message),)

    return effect


def not_a_number() -> Effect:
    """The first number of each message is none."""

    def effect(message: Any) -> Delayed:
        if isinstance(message, PoseStamped):
            message.pose.position.x = math.nan
        else:
            message.position[0] = math.nan
        return ((0.0, message),)

    return effect


def frozen_stamps() -> Effect:
    """Every message carries the stamp of the first."""
    first: list[Any] = []

    def effect(message: Any) -> Delayed:
        first.append(message.header.stamp)
        message.header.stamp = first[0]
        return ((0.0, message),)

    return effect


def shifted_stamps(seconds: float) -> Effect:
    """The clock of whoever stamps, or the clock itself, leaps."""

    def effect(message: Any) -> Delayed:
        shift = round(seconds * 1e9)
        if isinstance(message, ClockMessage):
            message.clock = from_ns(max(0, to_ns(message.clock) + shift))
        else:
            message.header.stamp = from_ns(max(0, to_ns(message.header.stamp) + shift))
        return ((0.0, message),)

    return effect


def renamed_joints() -> Effect:
    """The driver has other names for its joints."""

    def effect(message: JointState) -> Delayed:
        message.name = [f"other_{name}" for name in message.name]
        return ((0.0, message),)

    return effect
