"""language_node: an operator's sentence in, the task and its embedding out, or a refusal that names the nearest tasks.

One task begins here at once. Several tasks, or a mission, are asked of mission_node, which asks back for each step;
its state is kept here, in case it dies.
A refused sentence also ends the task in progress: whoever says something else wants something else. A policy that was
trained with another language model than the one installed, as an imported one, is asked for by the names of its tasks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from std_msgs.msg import Float32MultiArray, String
from std_srvs.srv import SetBool

from legion_core.bundle import PolicyBundle
from legion_core.control import Control
from legion_core.embedding import encoder_of
from legion_core.errors import TaskError, unknown
from legion_core.language import MARGIN, THRESHOLD
from legion_core.mission import load_missions
from legion_core.mission_run import UNDER_WAY, MissionState
from legion_core.phrases import phrases_for
from legion_core.tasks import require_here
from legion_core.understanding import Interpreter, MissionCall, Outcome, Refused, Tasks
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT, LATCHED
from legion_ros.reply import Reply
from legion_ros.vector_messages import float32_array

NAME = "language_node"
LOOK_S, SILENT_LOOKS = 0.2, 5
"""A mission under way is told of four times a second; one that is not in so many looks has nobody who runs it. Looks,
not seconds, as a process that was held up has just not heard of it yet."""


@dataclass(frozen=True)
class LanguageSettings:
    """Parameters of the language node."""

    policy: str = parameter("", "Folder of the policy bundle; empty: the one that comes with the package")
    language_model: str = parameter("", "Folder of the policy's sentence-transformers model; empty: the packaged one")
    phrases: str = parameter("", f"YAML files with further phrasings and aliases, joined by {os.pathsep!r}")
    threshold: float = parameter(
        THRESHOLD, "Least cosine similarity of a sentence with a known one", minimum=0.0, maximum=1.0
    )
    margin: float = parameter(
        MARGIN, "Least distance in similarity to anything else the sentence could mean", minimum=0.0, maximum=1.0
    )


class LanguageNode(Node):
    """Answers each sentence on `legion/instruction`; an empty one ends the task."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, LanguageSettings)
        self._bundle = PolicyBundle.load(settings.policy or None)
        self._missions = load_missions()
        encoder = encoder_of(self._bundle.manifest.embedding, settings.language_model or None)
        self._limits = "" if encoder else self._names_only()
        if self._limits:
            self.get_logger().warning(self._limits)
        self._interpreter = Interpreter(
            self._bundle,
            encoder,
            phrases_for(self._bundle.task_names, filter(None, settings.phrases.split(os.pathsep))),
            {name: mission.phrases for name, mission in self._missions.items()},
            settings.threshold,
            settings.margin,
        )
        self._task = self._paused = self._mission_state = ""
        self._told = False  # whether it has said which task runs
        self._last: Tasks | MissionCall | None = None
        self._here: list[str] = []
        self._looks = 0  # since a mission was told of last
        self._embedding_publisher = self.create_publisher(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
        self._task_publisher = self.create_publisher(String, topics.TASK, LATCHED)
        self._reply_publisher = self.create_publisher(String, topics.REPLY, EVENT)
        self._mission_publisher = self.create_publisher(String, topics.MISSION_REQUEST, EVENT)
        self._kept_publisher = self.create_publisher(String, topics.MISSION_KEPT, LATCHED)
        self._control_publisher = self.create_publisher(String, topics.MISSION_CONTROL, EVENT)
        self._e_stop = self.create_client(SetBool, topics.E_STOP)
        self.create_subscription(String, topics.INSTRUCTION, self._on_instruction, EVENT)
        self.create_subscription(String, topics.TASK_REQUEST, self._on_task_request, EVENT)
        self.create_subscription(String, topics.MISSION_STATE, self._on_mission_state, LATCHED)
        self.create_subscription(String, topics.SCENE_TASKS, self._on_scene_tasks, LATCHED)
        self.create_timer(LOOK_S, self._look_after_mission, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._diagnostics = Diagnostics(self, lambda: ("listening", {"task": self._task or "none"}))

    def _on_instruction(self, message: String) -> None:
        accepted, text = self._obey(self._interpreter.understand(message.data))
        reply = Reply(accepted, message.data, text)
        self.get_logger().info(str(reply))
        self._reply_publisher.publish(String(data=str(reply)))

    def _on_task_request(self, message: String) -> None:
        """Begin that task; none where it cannot be, so that whoever asked does not wait."""
        try:
            if message.data and message.data not in self._bundle.task_names:
                raise TaskError(unknown("task", message.data, self._bundle.task_names))
            require_here(filter(None, [message.data]), self._here)
        except TaskError as error:
            self._diagnostics.warn(f"{topics.TASK_REQUEST}: {error}", Problem.UNKNOWN_TASK)
            self._publish_task("")
        else:
            self._publish_task(message.data)

    def _on_scene_tasks(self, message: String) -> None:
        self._here = message.data.split()

    def _on_mission_state(self, message: String) -> None:
        try:
            told = json.loads(message.data)
            self._mission_state = str(told["state"])
        except (ValueError, KeyError, TypeError):
            self.get_logger().warning(f"{topics.MISSION_STATE}: no mission's state: {message.data!r}")
            return
        if not self._told:  # the process before this one may have died over a task
            self._task = str(told.get("task", ""))
        self._looks = 0
        if self._mission_state != MissionState.IDLE:  # who is idle has just started and may need what is kept
            self._kept_publisher.publish(message)

    def _look_after_mission(self) -> None:
        """The task of a mission that nobody runs any more is ended."""
        self._looks += 1
        if self._mission_state in UNDER_WAY and self._looks > SILENT_LOOKS:
            self._mission_state = ""
            self._publish_task("")
            self._diagnostics.warn("mission_node is silent in a mission: its task is ended", Problem.SILENT)

    def _obey(self, outcome: Outcome) -> tuple[bool, str]:
        """Whether it is done, and what to tell the operator."""
        if isinstance(outcome, Control):
            return self._steer(outcome)
        if isinstance(outcome, Refused):
            self._publish_task("")
            return False, self._limits or str(outcome)
        self._last = outcome
        return self._begin(outcome)

    def _begin(self, plan: Tasks | MissionCall) -> tuple[bool, str]:
        try:
            require_here(self._tasks_of(plan), self._here)
        except TaskError as error:
            self._publish_task("")
            return False, str(error)
        if isinstance(plan, Tasks) and len(plan.names) == 1:
            self._kept_publisher.publish(String())  # a mission_node that is started again leaves this task alone
            self._publish_task(plan.names[0])
            return True, str(plan)
        if not self._mission_publisher.get_subscription_count():
            self._publish_task("")
            return False, f"{plan}: more than one task needs mission_node, which is not running"
        request = {"name": plan.name} if isinstance(plan, MissionCall) else {"steps": plan.names, "title": str(plan)}
        self._mission_publisher.publish(String(data=json.dumps(request)))
        return True, str(plan)

    def _tasks_of(self, plan: Tasks | MissionCall) -> tuple[str, ...]:
        if isinstance(plan, Tasks):
            return plan.names
        return tuple(step.task for step in self._missions[plan.name].steps)

    def _steer(self, control: Control) -> tuple[bool, str]:
        if control is Control.HELP:
            return True, self._abilities()
        if control in (Control.STOP, Control.EMERGENCY_STOP):
            return self._stop(control)
        if self._mission_state in UNDER_WAY:
            self._control_publisher.publish(String(data=control.value))
            return True, f"{control.value} the mission"
        return self._steer_task(control)

    def _stop(self, control: Control) -> tuple[bool, str]:
        self._publish_task("")
        if self._mission_state in UNDER_WAY:
            self._control_publisher.publish(String(data="abort"))
        if control is Control.STOP:
            return True, control.value
        if not self._e_stop.service_is_ready():
            return False, f"the task is ended, but nobody answers on {topics.E_STOP}: use the robot's own stop"
        self._e_stop.call_async(SetBool.Request(data=True))
        return True, f"{control.value}; legion stop --clear releases it"

    def _steer_task(self, control: Control) -> tuple[bool, str]:
        """Pause, continue, again or skip without a mission."""
        if control is Control.AGAIN:
            return self._begin(self._last) if self._last else (False, "there is nothing to do again")
        if control is Control.CONTINUE:
            if self._paused:
                self._publish_task(self._paused)
            return bool(self._task), f"continue {self._task}" if self._task else "there is nothing to continue"
        if not self._task:
            return False, f"there is no task to {control.value}"
        task = self._task
        self._publish_task("")
        self._paused = task if control is Control.PAUSE else ""
        return True, f"{control.value} {task}"

    def _abilities(self) -> str:
        tasks = "; ".join(task.description for task in self._bundle.manifest.tasks)
        missions = "; ".join(mission.title for mission in self._missions.values())
        return (
            f"tasks: {tasks}. Join several with 'then'."
            + (f" Missions: {missions}." if missions else "")
            + " Also: stop, pause, continue, again, skip, emergency stop."
        )

    def _names_only(self) -> str:
        names, model = ", ".join(self._bundle.task_names), self._bundle.manifest.embedding.name
        return f"the policy's language model ({model}) is not installed, so only its tasks' names are known: {names}"

    def _publish_task(self, task: str) -> None:
        """The embedding first: it is what the policy acts on, and an empty one stops it."""
        self._task, self._paused, self._told = task, "", True
        # the canonical embedding is the one the policy's success was measured with
        self._embedding_publisher.publish(float32_array(self._bundle.embedding(task) if task else ()))
        self._task_publisher.publish(String(data=task))


def main() -> None:
    """Entry point of the executable."""
    run(NAME, LanguageNode)


if __name__ == "__main__":
    main()
