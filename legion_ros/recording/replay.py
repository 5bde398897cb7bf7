"""Do observations and actions of a recording come out again as they were, bit for bit?

The recorded measurements go through the real `Real2Sim`, the recorded observations through the real `LegionPolicy`, and
what comes out is compared with what the nodes said. Which measurements an observation was made of, and what the object
filter knew of the time before, real2sim_node has told on legion/observation_origin: no observation needs another one.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from legion_core.approach import LABEL
from legion_core.bundle import PolicyBundle
from legion_core.errors import RecordingError, SpaceError
from legion_core.policy import LegionPolicy, PolicyStep
from legion_core.spaces import ACTION_FIELDS, Float32, ObservationSpec, Vector
from legion_ros import topics
from legion_ros.inputs import Sample
from legion_ros.observing import GRIPPER, OTHERS, ROBOT, Observer, age_s
from legion_ros.reading import GripperReader, PoseReader, RobotReader
from legion_ros.recording.recording import Message, Recording, stamp_ns
from legion_ros.stamps import NS_PER_S

CHANGE_NS = NS_PER_S
"""So close to a change of the task either embedding may have been in force: recorder and policy hear of it at times of
their own."""
ROUNDING_NS = 512
"""An age of many years in seconds is no more precise than this."""


@dataclass(frozen=True)
class Difference:
    """The first thing that came out otherwise."""

    what: str
    stamp_ns: int
    field: str
    recorded: float
    replayed: float

    def __str__(self) -> str:
        values = f"recorded {self.recorded!r}, replayed {self.replayed!r}"
        return f"{self.what} of stamp {self.stamp_ns / NS_PER_S:.6f} s: {self.field}: {values}"


@dataclass
class Outcome:
    """How many of one kind came out the same; `unchecked` counts by reason."""

    same: int = 0
    different: int = 0
    unchecked: Counter[str] = field(default_factory=Counter)
    first: Difference | None = None

    def note(self, difference: Difference | None) -> None:
        """One more that was compared."""
        if difference is None:
            self.same += 1
        else:
            self.different += 1
            self.first = self.first or difference

    @property
    def compared(self) -> int:
        """How many could be compared."""
        return self.same + self.different


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    observations: Outcome
    actions: Outcome
    latents: Outcome

    @property
    def equal(self) -> bool:
        """Whether all that could be compared is the same, and there was something to compare."""
        outcomes = (self.observations, self.actions, self.latents)
        return not any(outcome.different for outcome in outcomes) and any(outcome.compared for outcome in outcomes)


@dataclass(frozen=True)
class Distance:
    """How far the actions of another policy are from those that were recorded: by field over all steps, in action
    units ([-1, 1])."""

    steps: int
    median: dict[str, float]
    largest: dict[str, float]
    unchecked: Counter[str]


def replay(recording: Recording) -> Replay:
    """Replay all of it.

    Raises:
        RecordingError: it lacks what a replay needs.
    """
    return Replay(_replay_observations(recording), *_replay_actions(recording))


def distance(recording: Recording, other: PolicyBundle) -> Distance:
    """What another policy would have done at each recorded step.

    Raises:
        RecordingError: as `replay`, or no step can be compared.
        LegionError: the other policy wants fields, or does not know a task, of the recording.
    """
    steps, unchecked = _Steps(recording), Counter[str]()
    policy, tasks = LegionPolicy(other), _tasks(recording.bundle)
    recorded, answers = [], []
    for message in recording.messages(topics.ACTION):
        found = steps.of(message)
        if isinstance(found, str):
            unchecked[found] += 1
            continue
        observation, embeddings = found
        task = tasks.get(embeddings[0].tobytes())
        if task is None:
            unchecked["its embedding is of no task of the recorded policy"] += 1
            continue
        values = other.spec.order(observation.value.name, observation.value.position)
        recorded.append(message.value.position)
        answers.append(policy.act(values, other.embedding(task)).action)
    if not recorded:
        raise RecordingError(f"{recording.path}: no action can be compared: {reasons(unchecked) or 'there is none'}")
    apart = np.abs(np.array(answers, float) - np.array(recorded))
    median, largest = (
        dict(zip(ACTION_FIELDS, values.tolist(), strict=True)) for values in (np.median(apart, 0), apart.max(0))
    )
    return Distance(len(apart), median, largest, unchecked)


def losses(recording: Recording) -> dict[str, int]:
    """How many messages of each topic that a replay needs the recorder has missed since it heard the first one."""
    profile = recording.profile
    robot = (profile.state_topic, profile.gripper.state)
    own = (topics.OBJECT, topics.OBJECT2, topics.GOAL, topics.OBSERVATION, topics.OBSERVATION_ORIGIN, topics.ACTION)
    counts = {topic: recording.lost(topic) for topic in (*robot, *own)}
    return {topic: count for topic, count in counts.items() if count}


def reasons(unchecked: Mapping[str, int]) -> str:
    """Why something was not compared, in words."""
    return "; ".join(f"{count}: {reason}" for reason, count in unchecked.items())


# observations


def _replay_observations(recording: Recording) -> Outcome:
    outcome, inputs = Outcome(), _Inputs(recording)
    origins = {stamp_ns(message): message for message in recording.messages(topics.OBSERVATION_ORIGIN)}
    for message in _required(recording, topics.OBSERVATION):
        origin = origins.get(stamp_ns(message))
        if origin is None:
            outcome.unchecked["what it was made of is not in the recording"] += 1
            continue
        try:
            outcome.note(_difference("observation", message, inputs.observe(message, origin)))
        except _MissingError as error:
            outcome.unchecked[str(error)] += 1
    return outcome


class _MissingError(Exception):
    """What an observation was made of is not in the recording."""


class _Inputs:
    """The recorded measurements, and the objects that make observations of them."""

    def __init__(self, recording: Recording) -> None:
        profile = recording.profile
        self._reader = RobotReader(profile)
        self._observer = Observer(profile.make_real2sim(ObservationSpec()), self._reader)
        poses = (topics.OBJECT, topics.OBJECT2, topics.GOAL)
        self._read = {
            ROBOT: self._reader.joints,
            GRIPPER: GripperReader(profile.gripper).opening,
            **{topic: PoseReader(profile, topic).position for topic in poses},
        }
        sources = {ROBOT: profile.state_topic, GRIPPER: profile.gripper.state, **dict(zip(poses, poses, strict=True))}
        self._tracks = {name: _Track(recording.messages(topic)) for name, topic in sources.items()}

    def observe(self, message: Message, origin: Message) -> Float32:
        """The observation once more.

        Raises:
            _MissingError: something that it was made of is not there.
        """
        if tuple(origin.value.name) != self._observer.origin_names:
            raise _MissingError("another version of legion_ros told what it was made of")
        told = self._observer.origin_of(np.array(origin.value.position, float))
        if told.near.size:
            self._reader.follow(told.near)
        ages = zip((ROBOT, *OTHERS.values()), (0.0, *told.ages.tolist()), strict=True)
        samples = {name: self._sample(name, message, age) for name, age in ages if not math.isnan(age)}
        return self._observer.observe_again(samples, told)

    def _sample(self, name: str, message: Message, age: float) -> Sample:
        found = self._tracks[name].find(message, age)
        if found is None:
            raise _MissingError(f"{name}, which it was made of, is not in the recording")
        try:
            return Sample(stamp_ns(found), self._read[name](found.value))
        except SpaceError as error:
            raise _MissingError(str(error)) from error


class _Track:
    """The messages of one input by stamp."""

    def __init__(self, messages: Sequence[Message]) -> None:
        ordered = sorted(messages, key=lambda message: (stamp_ns(message), message.log_ns))
        self._stamps = [stamp_ns(message) for message in ordered]
        self._messages = ordered

    def find(self, observation: Message, age: float) -> Message | None:
        """The message that was so much older (s) than the observation: of several the newest that came before it."""
        stamp = stamp_ns(observation)
        sought = stamp - round(age * NS_PER_S)
        found = None
        for i in range(bisect_left(self._stamps, sought - ROUNDING_NS), len(self._stamps)):
            if self._stamps[i] > sought + ROUNDING_NS:
                break
            if age_s(stamp, self._stamps[i]) == age and (
                found is None or self._messages[i].log_ns <= observation.log_ns
            ):
                found = self._messages[i]
        return found


# actions


def _replay_actions(recording: Recording) -> tuple[Outcome, Outcome]:
    """Actions and latents."""
    actions, latents = Outcome(), Outcome()
    steps, policy = _Steps(recording), LegionPolicy(recording.bundle)
    said = {stamp_ns(message): message for message in recording.messages(topics.LATENT)}
    for message in recording.messages(topics.ACTION):
        found = steps.of(message)
        if isinstance(found, str):
            actions.unchecked[found] += 1
            continue
        observation, embeddings = found
        values = recording.bundle.spec.order(observation.value.name, observation.value.position)
        tried = [policy.act(values, embedding) for embedding in embeddings]
        step = next((step for step in tried if _difference("action", message, step.action) is None), tried[0])
        actions.note(_difference("action", message, step.action))
        if latent := said.get(stamp_ns(message)):
            latents.note(_difference("latent", latent, _latent(step)))
    return actions, latents


class _Steps:
    """What each recorded action was made of."""

    def __init__(self, recording: Recording) -> None:
        self._observations = {stamp_ns(message): message for message in _required(recording, topics.OBSERVATION)}
        messages = sorted(recording.messages(topics.TASK_EMBEDDING), key=lambda message: message.publish_ns)
        self._times_ns = [message.publish_ns for message in messages]
        self._embeddings = [np.array(message.value.data, np.float32) for message in messages]

    def of(self, action: Message) -> tuple[Message, list[Float32]] | str:
        """The observation, and the embeddings that may have been in force, likeliest first; or why there is none."""
        if action.value.header.frame_id == LABEL:
            return "mission_node moved the hand between two attempts"
        observation = self._observations.get(stamp_ns(action))
        if observation is None:
            return "its observation is not in the recording"
        embeddings = [values for values in self._in_force(action.publish_ns) if values.size]
        return (observation, embeddings) if embeddings else "its task is not in the recording"

    def _in_force(self, at_ns: int) -> list[Float32]:
        newest = bisect_right(self._times_ns, at_ns) - 1
        return [
            self._embeddings[i]
            for i in (newest, newest + 1, newest - 1)
            if 0 <= i < len(self._embeddings)
            and (i == newest or abs(self._times_ns[max(i, newest)] - at_ns) < CHANGE_NS)
        ]


def _latent(step: PolicyStep) -> Vector:
    return np.concatenate((step.latent, step.responsibilities))


def _tasks(bundle: PolicyBundle) -> dict[bytes, str]:
    """The tasks of a policy by the bytes of their embeddings."""
    return {bundle.embedding(task).tobytes(): task for task in bundle.task_names}


# both


def _required(recording: Recording, topic: str) -> list[Message]:
    messages = recording.messages(topic)
    if not messages:
        there = ", ".join(recording.topics) or "none"
        raise RecordingError(f"{recording.path} holds no {recording.full_name(topic)}; its topics: {there}")
    return messages


def _difference(what: str, message: Message, replayed: npt.NDArray[np.floating]) -> Difference | None:
    """The first field in which a named vector differs from what was made again; NaN equals itself."""
    names, recorded = message.value.name, np.array(message.value.position, float)
    made = replayed.astype(float)
    if recorded.shape != made.shape:
        return Difference(what, stamp_ns(message), "number of values", len(recorded), len(made))
    for name, before, now in zip(names, recorded, made, strict=False):
        if before.tobytes() != now.tobytes():
            return Difference(what, stamp_ns(message), name, float(before), float(now))
    return None
