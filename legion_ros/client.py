"""The operator's side of the graph: says sentences, hears replies, watches the episode and the diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from legion_core.errors import DeploymentError
from legion_ros import topics
from legion_ros.aggregation import TREE
from legion_ros.deployment import DeploymentOptions
from legion_ros.diagnostics import MEND
from legion_ros.qos import EVENT, LATCHED
from legion_ros.reply import Reply
from legion_ros.security import OPERATOR, enclave_arguments
from legion_ros.signals import signals_wait
from legion_ros.stamps import to_ns

ANNOUNCED_S = 3.5
"""A participant whose first announcements were lost on a busy machine is heard of within this time: DDS repeats them
every 3 s."""


@dataclass(frozen=True)
class Episode:
    """What the simulator says about the running episode after each step."""

    stamp_ns: int
    values: Mapping[str, float]

    @property
    def step(self) -> int:
        """Steps since the reset."""
        return int(self.values["step"])

    @property
    def success(self) -> bool:
        """Whether the task was done in any step so far."""
        return self.values["success"] > 0

    @property
    def done(self) -> bool:
        """Whether the simulator has ended the episode."""
        return self.values["done"] > 0


@dataclass
class NodeStatus:
    """The newest diagnostics of one node."""

    level: int
    message: str
    values: dict[str, str]
    received_s: float = field(default_factory=time.monotonic)

    @property
    def mends(self) -> str:
        """How to mend what is wrong at present; empty when nothing is."""
        return " ".join(dict.fromkeys(text for key, text in self.values.items() if key.startswith(MEND)))

    @classmethod
    def of(cls, status: DiagnosticStatus) -> NodeStatus:
        """What the message says."""
        values = {pair.key: pair.value for pair in status.values}
        return cls(int.from_bytes(status.level, "little"), status.message, values)


class LegionClient:
    """A small node in a ROS context of its own; a context manager. Not for several threads.

    `task`, `replies`, `episode` and `status` are what was heard last, `success` the first report of it in an episode.

    Args:
        namespace: that of the deployment, '' for none.

    Raises:
        ConfigurationError: that is no namespace.
    """

    def __init__(self, namespace: str = "", name: str = OPERATOR) -> None:
        self._context = rclpy.Context()
        root = DeploymentOptions(namespace=namespace).root
        rclpy.init(args=["--ros-args", *enclave_arguments(root, OPERATOR)], context=self._context)
        self.node = rclpy.create_node(
            name,
            context=self._context,
            namespace=root or None,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.task = ""
        self.replies: list[Reply] = []
        self.episode: Episode | None = None
        self.success: Episode | None = None
        self.status: dict[str, NodeStatus] = {}
        self.on_episode: Callable[[Episode], None] = lambda episode: None
        self.root = self.node.get_namespace().rstrip("/")
        self._instruction = self.node.create_publisher(String, topics.INSTRUCTION, EVENT)
        self.node.create_subscription(String, topics.REPLY, self._on_reply, EVENT)
        self.node.create_subscription(String, topics.TASK, self._on_task, LATCHED)
        self.node.create_subscription(JointState, topics.EPISODE, self._on_episode, EVENT)
        self.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, EVENT)

    def __enter__(self) -> LegionClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _on_reply(self, message: String) -> None:
        self.replies.append(Reply.parse(message.data))

    def _on_task(self, message: String) -> None:
        self.task = message.data

    def _on_episode(self, message: JointState) -> None:
        values = dict(zip(message.name, message.position, strict=True))
        self.episode = Episode(to_ns(message.header.stamp), values)
        if not self.episode.success:
            self.success = None
        elif self.success is None:
            self.success = self.episode
        self.on_episode(self.episode)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            root, _, name = status.name.rpartition("/")
            if root == self.root:
                self.status[name] = NodeStatus.of(status)

    def status_value(self, node: str, key: str, default: Any = "") -> Any:
        """A value of a node's newest diagnostics, as the type of `default`."""
        status = self.status.get(node)
        text = status.values.get(key) if status else None
        return default if text is None else type(default)(text)

    def interventions(self) -> dict[str, int]:
        """How often the guard has intervened, by name, as sim2real_node said last; empty before."""
        status = self.status.get("sim2real_node")
        values = status.values if status else {}
        return {key.removeprefix("guard."): int(value) for key, value in values.items() if key.startswith("guard.")}

    def health(self, timeout_s: float) -> dict[str, NodeStatus]:
        """The tree of the deployment's health by full name, from monitor_node; empty when none comes in time."""
        tree: dict[str, NodeStatus] = {}

        def hear(message: DiagnosticArray) -> None:
            own = [status for status in message.status if status.name.startswith(f"{self.root}/{TREE}")]
            tree.update({status.name: NodeStatus.of(status) for status in own})

        listening = self.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS_AGGREGATED, hear, EVENT)
        self.wait(lambda: bool(tree), timeout_s)
        self.node.destroy_subscription(listening)
        return tree

    def spin(self, timeout_s: float) -> None:
        """Handle what arrives during that time."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            self._spin_once(left)

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Handle what arrives until `condition` holds; False when it does not in time."""
        end = time.monotonic() + timeout_s
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._spin_once(min(left, 0.05))
        return True

    def _spin_once(self, timeout_s: float) -> None:
        with signals_wait():
            self._executor.spin_once(timeout_sec=min(timeout_s, 0.1))

    def is_heard(self, publisher: Publisher, by: str) -> bool:
        """Whether the node of that name listens; a recorder that does, too, may be found before it."""
        listeners = self.node.get_subscriptions_info_by_topic(publisher.topic_name)
        return any(listener.node_name == by for listener in listeners) and publisher.get_subscription_count() > 0

    def say(self, sentence: str, timeout_s: float = 30.0) -> Reply:
        """Say a sentence and wait for the reply to it.

        Raises:
            DeploymentError: nobody listens, or nobody answers in time.
        """
        if not self.wait(lambda: self.is_heard(self._instruction, "language_node"), timeout_s):
            where = self._instruction.topic_name
            raise DeploymentError(f"nobody listens on {where}: start a deployment first (legion deploy)")
        self.replies.clear()
        self._instruction.publish(String(data=sentence))
        if not self.wait(lambda: any(reply.instruction == sentence for reply in self.replies), timeout_s):
            raise DeploymentError(f"no reply on {topics.REPLY} within {timeout_s:.0f} s")
        return next(reply for reply in self.replies if reply.instruction == sentence)

    def e_stop(self, engage: bool, timeout_s: float = 20.0) -> None:
        """Engage or clear the emergency stop.

        It is asked for again while there is no answer or a refusal: a node that was just started again has not heard
        the first time, or listens for a stop that was engaged before.
        """
        end = time.monotonic() + timeout_s
        while (refusal := self._ask_for_stop(engage)) and time.monotonic() < end:
            self.spin(0.3)
        if refusal:
            raise DeploymentError(refusal)

    def _ask_for_stop(self, engage: bool) -> str:
        """Ask once. Returns what stands against it, '' for nothing."""
        try:
            answer = self.call(SetBool, topics.E_STOP, SetBool.Request(data=engage), 2.0)
        except DeploymentError as error:
            return str(error)
        return "" if answer.success else f"{topics.E_STOP}: {answer.message}"

    def e_stop_everywhere(self, engage: bool, settle_s: float = ANNOUNCED_S, timeout_s: float = 5.0) -> Iterator[str]:
        """Engage or clear the emergency stop of every deployment in the domain: their services, as they confirm it.

        Each is asked as soon as it is discovered; discovery ends when nothing new has come for `settle_s`, or nothing
        at all within `timeout_s`.

        Raises:
            DeploymentError: there is none, or one that was found does not answer or refuses; the message names it.
        """
        suffix, asked, answers = f"/{topics.E_STOP}", dict[str, tuple[Client, Future | None]](), dict[str, bool]()
        quiet_since, patience_s = time.monotonic(), timeout_s
        while time.monotonic() - quiet_since < patience_s:
            for name, _ in self.node.get_service_names_and_types():
                if name.endswith(suffix) and name not in asked:
                    asked[name] = self.node.create_client(SetBool, name), None
                    quiet_since = time.monotonic()
            _ask(asked, engage)
            self._spin_once(0.05)
            for name, (_, future) in asked.items():
                if name not in answers and future and future.done():
                    answers[name] = future.result().success
                    if answers[name]:
                        yield name
            if asked:
                patience_s = settle_s if len(answers) == len(asked) else settle_s + timeout_s
        for client, _ in asked.values():
            self.node.destroy_client(client)
        if failed := sorted(name for name in asked if not answers.get(name)):
            raise DeploymentError(f"no confirmation from {', '.join(failed)}")
        if not asked:
            raise DeploymentError("no deployment in this domain has an emergency stop: is one running?")

    def reset_simulator(self, **parameters: Any) -> None:
        """Set parameters of the simulator (`task`, `seed`, ...) and begin a new episode."""
        if parameters:
            wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]
            answer = self.call(SetParameters, "mujoco_node/set_parameters", SetParameters.Request(parameters=wanted))
            for result in answer.results:
                if not result.successful:
                    raise DeploymentError(f"mujoco_node: {result.reason}")
        answer = self.call(Trigger, topics.SIM_RESET, Trigger.Request())
        if not answer.success:
            raise DeploymentError(f"{topics.SIM_RESET}: {answer.message}")

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = 20.0) -> Any:
        """Call a service once.

        Raises:
            DeploymentError: it is not there, or does not answer in time.
        """
        client = self.node.create_client(kind, name)
        try:
            if not self.wait(client.service_is_ready, timeout_s):
                raise DeploymentError(f"no service {client.srv_name}: is the deployment running?")
            future = client.call_async(request)
            if not self.wait(future.done, timeout_s):
                raise DeploymentError(f"{client.srv_name} did not answer within {timeout_s:.0f} s")
            return future.result()
        finally:
            self.node.destroy_client(client)


def _ask(asked: dict[str, tuple[Client, Future | None]], engage: bool) -> None:
    """Call every service that is ready and was not called yet."""
    for name, (client, future) in asked.items():
        if future is None and client.service_is_ready():
            asked[name] = client, client.call_async(SetBool.Request(data=engage))
