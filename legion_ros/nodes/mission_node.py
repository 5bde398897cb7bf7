"""mission_node: one task after the other, each until the observation says that it is done.

It asks language_node for tasks and lets the policy solve them. Between two attempts, while no task is set, it moves the
hand itself to where the next one begins, by actions that pass through sim2real_node and its guard as the policy's do.
It needs no simulator.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from legion_core.approach import LABEL
from legion_core.errors import LegionError, SpaceError
from legion_core.mission import parse_request
from legion_core.mission_run import FIELDS, SETTLE_S, UNDER_WAY, MissionRun, MissionState
from legion_core.spaces import ACTION_FIELDS
from legion_core.tasks import require_here
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics, RateMeter
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT, LATCHED, LATCHED_EVENT, own_publisher, own_subscription
from legion_ros.stamps import to_seconds
from legion_ros.vector_messages import named_vector

NAME = "mission_node"
LOOK_S = 0.05
"""Period of a look at what has changed."""
HUSH_S = 0.1
"""For so long after a task has ended the policy may still answer, and nobody else does."""
SILENCE_S = 3.0
"""Longer than a simulator in lockstep is silent."""
PROGRESS_S = 0.25
"""A mission under way tells how far it is at least this often: the task of one that is silent is ended."""
ANSWER_LOOKS = 40
"""After so many looks without an answer language_node is asked again: it may have been started anew. Looks, not
seconds, as a process that was held up has just not heard the answer yet."""


@dataclass(frozen=True)
class MissionSettings:
    """Parameters of the mission node."""

    settle_s: float = parameter(
        SETTLE_S, "Time that the scene needs to show another task's object and goal", minimum=0.0, maximum=10.0
    )


class MissionNode(Node):
    """Runs what `legion/mission/request` asks for, obeys `legion/mission/control`, tells `legion/mission/state`."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, MissionSettings)
        self._run = MissionRun(self._ask, settings.settle_s)
        self._observation: JointState | None = None
        self._rate, self._seen_at = RateMeter(), 0.0
        self._answered = True
        self._looks = 0  # since language_node was asked last
        self._hushed_until = self._told_at = 0.0
        self._told = ""
        self._here: list[str] = []
        self._diagnostics = Diagnostics(self, self._report)
        self._request_publisher = own_publisher(self, String, topics.TASK_REQUEST, EVENT)
        self._state_publisher = own_publisher(self, String, topics.MISSION_STATE, LATCHED)
        self._action_publisher = own_publisher(self, JointState, topics.ACTION)
        own_subscription(self, String, topics.MISSION_REQUEST, self._on_request, EVENT)
        own_subscription(self, String, topics.MISSION_CONTROL, self._on_control, EVENT)
        own_subscription(self, String, topics.MISSION_KEPT, self._on_kept, LATCHED)
        own_subscription(self, String, topics.TASK, self._on_task, LATCHED_EVENT)
        own_subscription(self, String, topics.SCENE_TASK, self._on_scene_task, LATCHED)
        own_subscription(self, String, topics.SCENE_TASKS, self._on_scene_tasks, LATCHED)
        own_subscription(self, Bool, topics.E_STOP, self._on_e_stop, LATCHED)
        own_subscription(self, JointState, topics.OBSERVATION, self._on_observation)
        self.create_timer(LOOK_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _ask(self, task: str) -> None:
        self._looks = 0
        self._request_publisher.publish(String(data=task))

    def _ask_again(self) -> None:
        """What language_node does not answer: it may have died with the request, or have its model to load."""
        self._looks += 1
        if self._run.unanswered and self._looks >= ANSWER_LOOKS:
            self._diagnostics.warn("language_node does not answer and is asked again", Problem.SILENT)
            for task in self._run.unanswered:
                self._ask(task)

    # what comes in

    def _on_request(self, message: String) -> None:
        try:
            mission = parse_request(message.data)
            require_here((step.task for step in mission.steps), self._here)
            self._run.begin(mission)
        except LegionError as error:
            self._refuse(str(error))
        self._hush()

    def _on_kept(self, message: String) -> None:
        """What the process before this one was at, if it died in a mission; empty: somebody wants something else."""
        if not message.data or self._run.state is not MissionState.IDLE:
            return
        try:
            told = json.loads(message.data)
            if told["state"] not in UNDER_WAY:
                return
            self._run.take_up(told)
        except (ValueError, KeyError, TypeError, LegionError) as error:
            self._refuse(f"{topics.MISSION_KEPT}: {error}")
        else:
            self._diagnostics.warn(self._run.text, Problem.TAKEN_UP)
        self._hush()

    def _on_control(self, message: String) -> None:
        if not self._run.control(message.data):
            state = self._run.state.value
            self._refuse(
                f"{message.data!r} cannot be done now ({state}); there are: pause, continue, skip, abort, again"
            )
        self._hush()

    def _refuse(self, why: str) -> None:
        self._diagnostics.warn(why, Problem.BAD_REQUEST)
        self._run.refuse(why)

    def _on_task(self, message: String) -> None:
        self._run.hear_task(message.data)
        self._hush()

    def _on_scene_task(self, message: String) -> None:
        self._run.hear_scene(message.data)

    def _on_scene_tasks(self, message: String) -> None:
        self._here = message.data.split()

    def _on_e_stop(self, message: Bool) -> None:
        self._run.hear_stop(message.data)
        self._hush()

    def _hush(self) -> None:
        self._hushed_until = time.monotonic() + HUSH_S
        self._tell()

    def _on_observation(self, message: JointState) -> None:
        self._observation, self._answered = message, False
        self._seen_at = time.monotonic()
        self._rate.tick()
        self._look()

    def _on_timer(self) -> None:
        """In lockstep no other observation comes before the last one is answered."""
        self._ask_again()
        if self._run.moving and not self._answered:
            self._look()
        if self._run.state is MissionState.RUNNING and time.monotonic() - self._seen_at > SILENCE_S:
            self._diagnostics.warn("the mission waits for observations", Problem.NO_OBSERVATION)
        self._tell()

    # what goes out

    def _look(self) -> None:
        message = self._observation
        if message is None or (self._run.moving and time.monotonic() < self._hushed_until):
            return
        try:
            values = FIELDS.order(message.name, message.position)
        except SpaceError as error:
            self._diagnostics.error(str(error), Problem.BAD_OBSERVATION)
            return
        if not np.isfinite(values).all():
            return  # the policy complains of it
        action = self._run.observe(values, to_seconds(message.header.stamp))
        if action is not None:
            self._answered = True
            self._action_publisher.publish(named_vector(message.header.stamp, ACTION_FIELDS, action, LABEL))

    def _tell(self) -> None:
        """The state where it has changed; how long the steps take is no change, but told now and then."""
        report, now = self._run.report(), time.monotonic()
        told = json.dumps({**report, "steps": [{**step, "seconds": 0} for step in report["steps"]]})
        late = self._run.state in UNDER_WAY and now - self._told_at >= PROGRESS_S
        if told != self._told or late:
            self._told, self._told_at = told, now
            self._state_publisher.publish(String(data=json.dumps(report)))

    def _report(self) -> tuple[str, dict[str, object]]:
        report = self._run.report()
        values = {"mission": report["mission"], "task": report["task"], "success": report["success"]}
        return f"{report['state']}: {report['text']}", {**values, "observation_hz": self._rate.rate_hz()}


def main() -> None:
    """Entry point of the executable."""
    run(NAME, MissionNode)


if __name__ == "__main__":
    main()
