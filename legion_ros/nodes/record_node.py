"""record_node: writes everything that the deployment in its namespace says to an MCAP file, and what a replay needs."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from legion_core import __version__
from legion_core.errors import LegionError, RecordingError
from legion_ros.deployment import CONFIGURATION_ERROR, NODE_NAMES
from legion_ros.diagnostics import Diagnostics
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.profiles import profile_of
from legion_ros.ready import announce_ready
from legion_ros.recording import kit
from legion_ros.recording.asking import ParameterQuestions
from legion_ros.recording.bag import Bag, new_path
from legion_ros.recording.recorder import Recorder
from legion_ros.recording.selection import robot_topics
from legion_ros.signals import ending_signals

NAME = "record_node"
TAKE_S, DISCOVER_S, FLUSH_S = 0.1, 0.25, 1.0
NICE = 5
"""The control path comes first."""
SOURCES = ("real2sim_node", "policy_node", "sim2real_node")
"""The nodes whose parameters say which robot and which policy it is."""


@dataclass(frozen=True)
class RecordSettings:
    """Parameters of the record node."""

    file: str = parameter("", "Recording: a name that ends in .mcap is a file, any other a folder; empty: by the time")
    duration_s: float = parameter(0.0, "End after so many seconds; 0: when told to", minimum=0.0, maximum=1e6)
    more: str = parameter("", "Names of more topics to record, separated by blanks")


class RecordNode(Node):
    """Listens, and says nothing but its diagnostics. `error` is why it cannot go on.

    It is ready, for who has started it, once it knows robot and policy and listens to all that is there: what an
    operator does then is recorded from its first message on.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(NAME, **more)
        settings = declare(self, RecordSettings)
        root = self.get_namespace().rstrip("/")
        path = new_path(settings.file, time.strftime(f"legion{root.replace('/', '_')}_%Y%m%d_%H%M%S.mcap"))
        self.error: RecordingError | None = None
        self.bag = Bag(path)
        self._ends_at = time.monotonic() + (settings.duration_s or math.inf)
        self._asked = False
        self.complete = False
        """Whether the recording holds what a replay needs besides messages."""
        self._describe()
        self._more = settings.more.split()
        self._recorder = Recorder(self, self.bag, self._more)
        self._questions = ParameterQuestions(self, (name for name in NODE_NAMES if name != NAME))
        self._described = 0
        self._diagnostics = Diagnostics(self, self._report)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, step in ((TAKE_S, self._take), (DISCOVER_S, self._discover), (FLUSH_S, self._flush)):
            self.create_timer(period_s, step, clock=steady)

    @property
    def done(self) -> bool:
        """Whether its time is up, or it cannot go on."""
        return self.error is not None or time.monotonic() >= self._ends_at

    @property
    def unheard(self) -> list[str]:
        """The topics asked for besides those of the deployment that nothing was said on."""
        return [topic for topic in self._more if not self._recorder.heard(topic)]

    def close(self) -> None:
        """Write what has come until now, and the end of the file.

        Raises:
            RecordingError: it cannot be written.
        """
        if self.error is None:
            self._recorder.take()
            self._write_answers()
            self.bag.close()

    def _take(self) -> None:
        self._try(self._recorder.take)
        self._questions.ask()

    def _flush(self) -> None:
        self._try(self.bag.flush)

    def _discover(self) -> None:
        packed, topics_before = self._asked, self._recorder.topics
        if not self._asked and all(name in self._questions.answers for name in SOURCES):
            self._asked = True
            self._try(self._pack)
        self._try(self._write_answers)
        for problem in self._recorder.discover():
            self._diagnostics.warn(problem, Problem.NOT_RECORDED)
        if packed and self._recorder.topics == topics_before:
            announce_ready()

    def _pack(self) -> None:
        """Robot profile and policy of the graph, as its nodes name them."""
        real2sim, policy, sim2real = (self._questions.answers[name] for name in SOURCES)
        profile = profile_of(SimpleNamespace(**{**sim2real, **real2sim}))
        self._recorder.want(robot_topics(profile))
        chosen = kit.policy_files(Path(policy["policy"]) if policy["policy"] else None)
        now_ns = time.time_ns()
        for name, content in {**kit.robot_files(profile), **chosen}.items():
            self.bag.attach(name, kit.media_type(name), content, now_ns)
        self._describe(robot=real2sim["robot"], policy=policy["policy"], policy_sha256=kit.digest(chosen))
        self.complete = True

    def _describe(self, **more: str) -> None:
        self.bag.describe("legion", {"namespace": self.get_namespace(), "legion_ros": __version__, **more})

    def _write_answers(self) -> None:
        answers = self._questions.answers
        for name in list(answers)[self._described :]:
            self.bag.describe("parameters", {name: json.dumps(answers[name], sort_keys=True)})
        self._described = len(answers)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except RecordingError as error:
            self.error = error
        except LegionError as error:
            self._diagnostics.error(f"a replay will lack the robot or the policy: {error}", Problem.NO_KIT)

    def _report(self) -> tuple[str, dict[str, object]]:
        values: dict[str, object] = {"messages": self.bag.messages, "megabytes": round(1e-6 * self.bag.size_bytes, 3)}
        return f"recording to {self.bag.file}", values


def record(arguments: Sequence[str], on_begin: Callable[[RecordNode], None]) -> RecordNode:
    """Record until Ctrl-C, SIGTERM or the set duration; `on_begin` is called with the node once there is a file.

    Raises:
        LegionError: the file exists or cannot be written.
    """
    caught: list[int] = []
    os.nice(NICE)
    with ending_signals(lambda number, _: caught.append(number)):
        # rclpy's own handlers would shut the context down before the last messages are taken
        context = rclpy.Context()
        rclpy.init(args=arguments, context=context, signal_handler_options=SignalHandlerOptions.NO)
        try:
            node = RecordNode(context=context)
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            on_begin(node)
            try:
                while not caught and not node.done:
                    executor.spin_once(timeout_sec=0.1)
            finally:
                node.close()
            if node.error is not None:
                raise node.error
            return node
        finally:
            context.try_shutdown()


def main() -> None:
    """Entry point of the executable."""
    try:
        record(sys.argv, lambda node: None)
    except LegionError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        sys.exit(CONFIGURATION_ERROR)


if __name__ == "__main__":
    main()
