"""policy_node: observation and task embedding in, action out. It acts once on each new observation of a set task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float32MultiArray, String

from legion_core.bundle import PolicyBundle
from legion_core.errors import SpaceError
from legion_core.policy import LegionPolicy, PolicyStep
from legion_core.spaces import ACTION_FIELDS, Float32
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics, RateMeter, seconds_since
from legion_ros.managed import ManagedNode
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import ControlPathSettings, run
from legion_ros.qos import LATCHED, own_publisher, own_subscription
from legion_ros.stamps import NS_PER_S, to_ns
from legion_ros.vector_messages import named_vector

NAME = "policy_node"
UNFAMILIAR_STEPS = 50
"""So many steps in a row must be unlike training: in tasks that succeed there were up to 27."""


@dataclass(frozen=True)
class PolicySettings(ControlPathSettings):
    """Parameters of the policy node."""

    policy: str = parameter("", "Folder of the policy bundle; empty: the one that comes with the package")
    max_observation_age_s: float = parameter(
        0.2, "An observation older than this by its stamp is not acted on", minimum=0.02, maximum=5.0
    )
    autostart: bool = parameter(True, "Configure and activate at start; false: wait for a lifecycle manager")


class PolicyNode(ManagedNode):
    """The frozen policy as a lifecycle node; silent without a task, under e-stop and when not active."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._settings = declare(self, PolicySettings)
        self._policy: LegionPolicy | None = None
        self._embedding: Float32 | None = None
        self._observation: JointState | None = None
        self._observed_ns: int | None = None
        self._step: PolicyStep | None = None
        self._unfamiliar = 0
        self._stopped = False
        self._rate = RateMeter()
        self._publishers_made: list[Publisher] = []
        self._subscriptions_made: list[object] = []
        self._diagnostics = Diagnostics(self, self._report)
        if self._settings.autostart:
            self.autostart()

    def configure(self) -> None:
        bundle = PolicyBundle.load(self._settings.policy or None)
        self._policy = LegionPolicy(bundle)
        self._latent_names = [f"z{i}" for i in range(bundle.manifest.architecture.latent)]
        self._latent_names += [f"component_{i}" for i in range(len(bundle.manifest.components))]
        self._action_publisher = own_publisher(self, JointState, topics.ACTION)
        self._latent_publisher = own_publisher(self, JointState, topics.LATENT)
        self._publishers_made = [self._action_publisher, self._latent_publisher]
        self._subscriptions_made = [
            own_subscription(self, JointState, topics.OBSERVATION, self._on_observation),
            own_subscription(self, Float32MultiArray, topics.TASK_EMBEDDING, self._on_embedding, LATCHED),
            own_subscription(self, String, topics.TASK, self._on_task, LATCHED),
            own_subscription(self, Bool, topics.E_STOP, self._on_e_stop, LATCHED),
        ]

    def cleanup(self) -> None:
        for publisher in self._publishers_made:
            self.destroy_publisher(publisher)
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._policy = self._embedding = self._observation = None

    def activate(self) -> None:
        self._observation = None

    def _on_e_stop(self, message: Bool) -> None:
        self._stopped = message.data

    def _on_task(self, message: String) -> None:
        if not message.data:
            self._embedding = None

    def _on_embedding(self, message: Float32MultiArray) -> None:
        """A new task begins with the newest observation that nobody acted on: in lockstep no other comes."""
        assert self._policy is not None
        self._step, self._unfamiliar = None, 0
        self._embedding = None
        if not message.data:
            return
        embedding = np.array(message.data, np.float32)
        model = self._policy.bundle.manifest.embedding
        if embedding.size != model.size or not np.isfinite(embedding).all():
            self._diagnostics.error(
                f"{topics.TASK_EMBEDDING} has {embedding.size} numbers"
                f"{'' if np.isfinite(embedding).all() else ', not all finite'};"
                f" the policy wants {model.size} finite ones from {model.name}",
                Problem.BAD_EMBEDDING,
            )
            return
        self._embedding = embedding
        self._act()

    def _on_observation(self, message: JointState) -> None:
        self._observation, self._observed_ns = message, to_ns(message.header.stamp)
        self._act()

    def _act(self) -> None:
        observation, policy, embedding = self._observation, self._policy, self._embedding
        if observation is None or policy is None or embedding is None or self._stopped or not self.active:
            return
        self._observation = None
        age_s = (self.get_clock().now().nanoseconds - to_ns(observation.header.stamp)) / NS_PER_S
        if age_s > self._settings.max_observation_age_s:
            self._diagnostics.warn("observations arrive too late", Problem.STALE_OBSERVATION)
            return
        try:
            values = policy.bundle.spec.order(observation.name, observation.position)
            step = policy.act(values, embedding)
        except SpaceError as error:
            self._diagnostics.error(str(error), Problem.BAD_OBSERVATION)
            return
        stamp = observation.header.stamp
        self._action_publisher.publish(named_vector(stamp, ACTION_FIELDS, step.action))
        self._rate.tick()
        self._step, self._unfamiliar = step, 0 if step.familiar else self._unfamiliar + 1
        if self._unfamiliar >= UNFAMILIAR_STEPS:
            self._diagnostics.warn("the situation is unlike training", Problem.UNFAMILIAR)
        if self._latent_publisher.get_subscription_count():
            latent = np.concatenate((step.latent, step.responsibilities))
            self._latent_publisher.publish(named_vector(stamp, self._latent_names, latent))

    def _report(self) -> tuple[str, dict[str, object]]:
        if not self.active:
            state = "inactive"
        elif self._stopped:
            state = "e-stop"
        else:
            state = "waiting for a task" if self._embedding is None else "acting"
        values: dict[str, object] = {"rate_hz": self._rate.rate_hz(), "actions": self._rate.count}
        values |= {"observation_age_s": seconds_since(self, self._observed_ns)}
        if self._policy is not None and self._step is not None and state == "acting":
            component = int(self._step.responsibilities.argmax())
            task = self._policy.bundle.manifest.components[component]
            values |= {"log_likelihood": self._step.log_likelihood, "component": f"{component} ({task})"}
        return state, values


def main() -> None:
    """Entry point of the executable."""
    run(NAME, PolicyNode)


if __name__ == "__main__":
    main()
