"""What happened in a recording, in order: tasks, sentences, stops, interventions, latencies. Times are seconds from its
begin, by the clock of the recorder."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from legion_core.errors import RecordingError
from legion_core.spaces import Vector
from legion_ros import topics
from legion_ros.recording.recording import Message, Recording, Vectors, stamp_ns
from legion_ros.reply import Reply
from legion_ros.stamps import NS_PER_S

GUARD = "guard."
"""Names of the guard's counters in the diagnostics of sim2real_node begin so."""
REPLY_S = 5.0
"""A reply that comes later answers something else."""
UNDER_WAY = ("running", "paused", "held")
"""States of a mission that goes on."""
MEASURED = ("joint state", "observation", "action", "command")
"""The messages between joint state and command, in their order."""


class Span(NamedTuple):
    """Something that held from `begin_s` to `end_s`."""

    begin_s: float
    end_s: float
    name: str


class Sentence(NamedTuple):
    """What was said when, and what was answered ('': nothing)."""

    at_s: float
    text: str
    reply: str


class Problem(NamedTuple):
    """Something that a node reported as wrong: first when, by whom, and how many reports of it there are."""

    at_s: float
    node: str
    message: str
    reports: int


@dataclass(frozen=True, eq=False)
class Counters:
    """Counts (n, names) that only grow, at `times_s` (n,)."""

    times_s: Vector
    names: tuple[str, ...]
    values: Vector


@dataclass(frozen=True, eq=False)
class Latency:
    """Milliseconds (n, 3) between the messages of MEASURED, at `times_s` (n,)."""

    times_s: Vector
    parts_ms: Vector

    @property
    def total_ms(self) -> Vector:
        """From joint state to command (n,)."""
        total: Vector = self.parts_ms.sum(1)
        return total


class Story:
    """Made of a recording; each part is computed when it is asked for.

    Raises:
        RecordingError: the recording holds no messages, or one of another type than its topic's.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        logged = [log_ns for topic in recording.topics.values() for log_ns, *_ in topic.raw]
        if not logged:
            raise RecordingError(f"{recording.path} holds no messages")
        self.begin_ns, self.end_s = min(logged), (max(logged) - min(logged)) / NS_PER_S

    def seconds(self, log_ns: int) -> float:
        """That time, from the begin."""
        return (log_ns - self.begin_ns) / NS_PER_S

    def times(self, vectors: Vectors) -> Vector:
        """When named vectors were received (n,)."""
        return vectors.received_s - self.begin_ns / NS_PER_S

    @cached_property
    def tasks(self) -> list[Span]:
        """The tasks that ran."""
        return self._spans(topics.TASK, lambda message: str(message.value.data))

    @cached_property
    def e_stops(self) -> list[Span]:
        """When the emergency stop was engaged."""
        return self._spans(topics.E_STOP, lambda message: "e-stop" if message.value.data else "")

    @cached_property
    def steps(self) -> list[Span]:
        """The steps of missions: task and state of the step under way."""
        return self._spans(topics.MISSION_STATE, lambda message: _step(str(message.value.data)))

    @cached_property
    def sentences(self) -> list[Sentence]:
        """What was said, with the replies."""
        replies = self.recording.messages(topics.REPLY)
        return [
            Sentence(self.seconds(said.log_ns), str(said.value.data), _answer(said, replies))
            for said in self.recording.messages(topics.INSTRUCTION)
        ]

    @cached_property
    def successes(self) -> list[float]:
        """When the simulator first saw each success (s)."""
        episode = self.recording.vectors(topics.EPISODE)
        if "success" not in episode.names:
            return []
        done = episode.column("success") > 0
        begun = done & ~np.concatenate(([False], done[:-1]))
        return [float(time) for time in self.times(episode)[begun]]

    @cached_property
    def interventions(self) -> Counters:
        """How often the guard had intervened, by name, as sim2real_node told."""
        told = [
            (
                self.seconds(log_ns),
                {key.removeprefix(GUARD): int(text) for key, text in values if key.startswith(GUARD)},
            )
            for log_ns, node, _, _, values in self._statuses()
            if node == "sim2real_node"
        ]
        names = tuple(sorted({name for _, counts in told for name in counts}))
        values = np.array([[counts.get(name, 0) for name in names] for _, counts in told], float)
        return Counters(np.array([at for at, _ in told]), names, values.reshape(len(told), len(names)))

    @cached_property
    def problems(self) -> list[Problem]:
        """What nodes reported as wrong, in the order of the first report."""
        found: dict[tuple[str, str], Problem] = {}
        for log_ns, node, level, message, _ in self._statuses():
            if level > 0:
                before = found.get((node, message), Problem(self.seconds(log_ns), node, message, 0))
                found[node, message] = before._replace(reports=before.reports + 1)
        return list(found.values())

    @cached_property
    def latency(self) -> Latency:
        """From joint state to command, by the times at which each message was published."""
        profile = self.recording.profile
        published = [
            {stamp_ns(message): message.publish_ns for message in self.recording.messages(topic)}
            for topic in (profile.state_topic, topics.OBSERVATION, topics.ACTION)
        ]
        commands = sorted(message.publish_ns for message in self.recording.messages(profile.command_topic))
        rows, times = [], []
        for stamp, acted_ns in published[2].items():
            at = bisect_left(commands, acted_ns)
            if at < len(commands) and all(stamp in each for each in published):
                way = [*(each[stamp] for each in published), commands[at]]
                rows.append(np.diff(way) * 1e-6)
                times.append(self.seconds(acted_ns))
        return Latency(np.array(times), np.array(rows).reshape(-1, len(MEASURED) - 1))

    def task_at(self, times_s: Vector) -> list[str]:
        """The running task at each of these times, '' for none."""
        begins = [span.begin_s for span in self.tasks]
        found = np.searchsorted(begins, times_s, side="right") - 1
        return [
            self.tasks[i].name if i >= 0 and time < self.tasks[i].end_s else ""
            for i, time in zip(found.tolist(), times_s.tolist(), strict=True)
        ]

    def _spans(self, topic: str, name_of: Callable[[Message], str]) -> list[Span]:
        """The times between messages that name something; the last one holds to the end."""
        spans: list[Span] = []
        for message in self.recording.messages(topic):
            at, name = self.seconds(message.log_ns), name_of(message)
            if spans and spans[-1].end_s > at:
                if spans[-1].name == name:
                    continue
                spans[-1] = spans[-1]._replace(end_s=at)
            if name:
                spans.append(Span(at, self.end_s, name))
        return spans

    def _statuses(self) -> Iterator[tuple[int, str, int, str, list[tuple[str, str]]]]:
        """Time, node, level, message and values of each status of this deployment."""
        for message in self.recording.messages(topics.DIAGNOSTICS):
            for status in message.value.status:
                root, _, node = status.name.rpartition("/")
                if root == self.recording.root:
                    level = int.from_bytes(status.level, "little") if isinstance(status.level, bytes) else status.level
                    yield message.log_ns, node, level, status.message, [(v.key, v.value) for v in status.values]


def _answer(said: Message, replies: Sequence[Message]) -> str:
    for message in replies:
        if 0 <= message.log_ns - said.log_ns < REPLY_S * NS_PER_S:
            with suppress(ValueError):  # another version's
                reply = Reply.parse(message.value.data)
                if reply.instruction == said.value.data:
                    return reply.text if reply.accepted else f"refused: {reply.text}"
    return ""


def _step(text: str) -> str:
    """The step under way in a mission's state, in words; '' where none is."""
    try:
        state = json.loads(text)
        if state["state"] not in UNDER_WAY:
            return ""
        steps, at = state["steps"], int(state["step"])
        return f"{at + 1}/{len(steps)} {steps[at]['task']} ({state['state']})"
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
