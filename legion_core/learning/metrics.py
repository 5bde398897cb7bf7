"""What a run has learned and kept: success over stages, forgetting, forward transfer and few-shot gain.

Everything is computed from the records of a run (`metrics.jsonl`) and needs nothing but NumPy. What a run has not
measured, because it is unfinished or was told to leave an evaluation out, is NaN and never a guess.

A task's *own stage* is one that practises it while the stage before did not: the only one in a lifelong stream, each
meeting in a few-shot run (of which forgetting counts from the last), the one that introduces it in an expanding set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from legion_core.errors import RunError, unknown
from legion_core.spaces import Vector

Record = Mapping[str, Any]
THRESHOLD = 0.8
"""The success that counts as learned in the paper's few-shot experiment."""


class Count(NamedTuple):
    """Successes among episodes."""

    successes: int
    episodes: int

    @property
    def success(self) -> float:
        """The share of successes, NaN without episodes."""
        return self.successes / self.episodes if self.episodes else np.nan


NOTHING = Count(0, 0)


class Condition(NamedTuple):
    """Under which a policy was evaluated."""

    arm: str
    actuation: str


@dataclass(frozen=True)
class StageRecord:
    """One stage as far as it got; steps, updates and time are totals of the run at its start and end so far."""

    index: int
    tasks: tuple[str, ...]
    """Practised in it."""
    seen: tuple[str, ...]
    """Met so far, this stage's included."""
    ended: bool
    env_steps: tuple[int, int]
    updates: tuple[int, int]
    wall_s: tuple[float, float]


@dataclass(frozen=True)
class Measurement:
    """One evaluation: `when` is stage_start, round, stage_end or final."""

    stage: int
    when: str
    env_steps: int
    stage_env_steps: int
    condition: Condition
    tasks: Mapping[str, Count]


@dataclass(frozen=True)
class Mixture:
    """One fit of the knowledge space."""

    stage: int
    tasks_seen: int
    components: int
    purity: float
    elbo: float
    births: int
    merges: int
    engine: str


class Curve(NamedTuple):
    """Success over environment steps: two arrays (N,), steps ascending, one point for each number of steps."""

    steps: Vector
    success: Vector

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> Curve:
        """The curve through `points` in the order measured; of several at one step the last counts."""
        table = {step: success for step, success in sorted(dict(points).items()) if np.isfinite(success)}
        return cls(np.array(list(table), float), np.array(list(table.values()), float))


class Series(NamedTuple):
    """A number over gradient updates: two arrays (N,)."""

    updates: Vector
    values: Vector


class Meeting(NamedTuple):
    """One own stage of a task: how fast it was learned this time."""

    stage: int
    steps: float
    """Environment steps of the stage until a success of at least THRESHOLD; infinite if never, NaN if not measured."""
    area: float
    """Mean success over the length of the task's longest meeting (see `mean_success`)."""
    gain: float
    """(area - first area) / (1 - first area): the share of what was left to gain; 0 at the first meeting."""


@dataclass(frozen=True)
class History:
    """A run's records in order, for the functions below.

    Evaluations under other conditions than `condition`, the run's first, take part in `finals` only.
    """

    tasks: tuple[str, ...]
    """All tasks of the run in the order in which they are met; those never met come last."""
    stages: tuple[StageRecord, ...]
    measurements: tuple[Measurement, ...]
    mixtures: tuple[Mixture, ...]
    losses: Mapping[str, Series]
    condition: Condition | None
    env_steps: int
    """In all so far."""
    updates: int
    wall_s: float

    @classmethod
    def of(cls, records: Iterable[Record], tasks: Sequence[str] = ()) -> History:
        """The history that `records` tell; `tasks` are those of the run that may not have been met yet.

        Raises:
            RunError: a record without what its kind must have; the message names record and key.
        """
        places: list[_Place] = []
        kinds: dict[str, list[Any]] = {kind: [] for kind in _PARSERS}
        for number, record in enumerate(records, 1):
            kind = record.get("kind")
            try:
                places.append(_place(record))
                if kind in _PARSERS:
                    kinds[kind].append(_PARSERS[kind](record))
            except KeyError as error:
                raise RunError(f"record {number} ({kind}): {error.args[0]} is missing") from error
            except (TypeError, ValueError, AttributeError) as error:
                raise RunError(f"record {number} ({kind}) is not what was expected: {error}") from error
        stages = _stages(places, kinds["stage"])
        measurements = tuple(kinds["evaluation"])
        met = dict.fromkeys(name for stage in stages for name in (*stage.tasks, *stage.seen))
        met.update(dict.fromkeys(tasks))
        met.update(dict.fromkeys(name for m in measurements for name in m.tasks))
        return cls(
            tuple(met),
            stages,
            measurements,
            tuple(kinds["mixture"]),
            _losses(kinds["updates"]),
            measurements[0].condition if measurements else None,
            *(max((getattr(place, name) for place in places), default=0) for name in ("env_steps", "update", "wall_s")),
        )

    @property
    def finished(self) -> bool:
        """Whether the run's last evaluation is there."""
        return any(m.when == "final" for m in self.measurements)

    def at(self, *when: str, stage: int | None = None, task: str | None = None) -> list[Measurement]:
        """The measurements under the run's condition at one of `when`, of one stage, with one task."""
        return [
            m
            for m in self.measurements
            if m.condition == self.condition
            and (not when or m.when in when)
            and stage in (None, m.stage)
            and (task is None or task in m.tasks)
        ]

    def newly_practised(self, stage: StageRecord) -> tuple[str, ...]:
        """The tasks that `stage` practises while the one before did not."""
        before = next((other.tasks for other in self.stages if other.index == stage.index - 1), ())
        return tuple(task for task in stage.tasks if task not in before)

    def own_stages(self, task: str) -> list[StageRecord]:
        """The own stages of `task` in their order."""
        return [stage for stage in self.stages if task in self.newly_practised(stage)]


def stage_counts(history: History, stage: int) -> dict[str, Count]:
    """The newest count of each task that a stage measured, the final evaluation apart."""
    counts: dict[str, Count] = {}
    for measurement in history.at("stage_start", "round", "stage_end", stage=stage):
        counts.update(measurement.tasks)
    return counts


def success_matrix(history: History) -> Vector:
    """Success (stages, tasks) after each stage (or so far, in the running one) of each of `history.tasks`."""
    matrix = np.full((len(history.stages), len(history.tasks)), np.nan)
    for row, stage in zip(matrix, history.stages, strict=True):
        for task, count in stage_counts(history, stage.index).items():
            row[history.tasks.index(task)] = count.success
    return matrix


def average_success(history: History) -> Vector:
    """Mean success (stages,) after each stage over the tasks met by then; NaN unless all of them were measured."""
    matrix = success_matrix(history)
    means = [
        row[[history.tasks.index(task) for task in stage.seen]].mean() if stage.seen else np.nan
        for row, stage in zip(matrix, history.stages, strict=True)
    ]
    return np.array(means, float)


def success_curve(history: History, task: str) -> Curve:
    """Success of one task over the environment steps of the whole run, all tasks' steps counted."""
    return Curve.of((m.env_steps, m.tasks[task].success) for m in history.at(task=task))


def finals(history: History, condition: Condition | None = None) -> dict[str, Count]:
    """The count of each task in the final evaluation, by default under the run's condition.

    Where there is none the newest count stands in: `History.finished` tells.
    """
    wanted = condition or history.condition
    counts: dict[str, Count] = {}
    for when in (("stage_start", "round", "stage_end"), ("final",)):
        for measurement in history.measurements:
            if measurement.condition == wanted and measurement.when in when:
                counts.update(measurement.tasks)
    return counts


def final_success(history: History) -> Vector:
    """Success (tasks,) at the end of the run, or the newest."""
    counts = finals(history)
    return np.array([counts.get(task, NOTHING).success for task in history.tasks], float)


def start_success(history: History) -> Vector:
    """Success (tasks,) at the start of a task's first own stage: what the tasks before have taught about it.

    NaN for the tasks of the run's first stage, which have none before them.
    """
    return _own(history, _first_later, lambda stage, task: _success(history, "stage_start", stage, task))


def own_success(history: History) -> Vector:
    """Success (tasks,) at the end of a task's last own stage."""
    return _own(history, _last, lambda stage, task: _success(history, "stage_end", stage, task))


def forgetting(history: History) -> Vector:
    """Success (tasks,) at the end of a task's own stage minus final success; negative where it went on improving."""
    return own_success(history) - final_success(history)


def forward_transfer(history: History) -> Vector:
    """Success (tasks,) at the end of a task's first own stage, having learned others before: the paper's definition.

    NaN for the tasks of the run's first stage.
    """
    return _own(history, _first_later, lambda stage, task: _success(history, "stage_end", stage, task))


def stage_mean_success(history: History) -> Vector:
    """Mean success (tasks,) over the environment steps of a task's first own stage: how fast it was learned."""
    return _own(history, _first, lambda stage, task: mean_success(stage_curve(history, stage, task)))


def meetings(history: History, task: str) -> list[Meeting]:
    """How fast `task` was learned each time that the run met it (few-shot recall)."""
    stages = history.own_stages(task)
    curves = [stage_curve(history, stage, task) for stage in stages]
    length = max((curve.steps[-1] for curve in curves if len(curve.steps)), default=0.0)
    areas = [mean_success(curve, length) for curve in curves]
    return [
        Meeting(stage.index, steps_to(curve, THRESHOLD), area, few_shot_gain(areas[0], area))
        for stage, curve, area in zip(stages, curves, areas, strict=True)
    ]


def few_shot_gain(first: float, area: float) -> float:
    """The normalised difference of two areas; NaN where the first left nothing to gain."""
    return (area - first) / (1 - first) if first < 1 else np.nan


def steps_ratio(first: Meeting, later: Meeting) -> float:
    """Steps to THRESHOLD at a later meeting over those at the first.

    Infinite if the later one never got there; NaN where the first did not, or where it needed no step.
    """
    return later.steps / first.steps if 0 < first.steps < np.inf else np.nan


def mean_success(curve: Curve, length: float | None = None) -> float:
    """The area under a curve over [0, length] divided by `length` (by default up to the curve's last point).

    Between two points the curve is a line; before its first and after its last point it is level.
    """
    if not len(curve.steps):
        return np.nan
    end = curve.steps[-1] if length is None else length
    if end <= 0:
        return float(curve.success[-1])
    x = np.concatenate(([0.0], curve.steps[(curve.steps > 0) & (curve.steps < end)], [end]))
    y = np.interp(x, curve.steps, curve.success)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / (2 * end))


def steps_to(curve: Curve, threshold: float) -> float:
    """The first measured step with at least that success; infinite if there is none, NaN for an empty curve."""
    if not len(curve.steps):
        return np.nan
    reached = np.flatnonzero(curve.success >= threshold)
    return float(curve.steps[reached[0]]) if len(reached) else np.inf


def stage_mixtures(history: History) -> list[Mixture | None]:
    """The last fit of each stage."""
    last = {mixture.stage: mixture for mixture in history.mixtures}
    return [last.get(stage.index) for stage in history.stages]


def known_mean(values: npt.ArrayLike) -> float:
    """The mean over the numbers that are known, NaN if none is."""
    array = np.asarray(values, float)
    known = array[np.isfinite(array)]
    return float(known.mean()) if len(known) else np.nan


@dataclass(frozen=True)
class Summary:
    """A run in a line."""

    finished: bool
    success: float
    """Mean final success over the tasks met so far."""
    worst: float
    forgetting: float
    """Mean over the tasks."""
    forward_transfer: float
    start_success: float
    components: int | None
    tasks_seen: int
    purity: float
    env_steps: int
    updates: int
    wall_s: float


def summarise(history: History) -> Summary:
    """The run in a line; means are over what is known."""
    stages = history.stages
    seen = {task for stage in stages for task in stage.seen}
    success = np.array([v for t, v in zip(history.tasks, final_success(history), strict=True) if t in seen], float)
    known = success[np.isfinite(success)]
    mixture = history.mixtures[-1] if history.mixtures else None
    return Summary(
        finished=history.finished,
        success=known_mean(success),
        worst=float(known.min()) if len(known) else np.nan,
        forgetting=known_mean(forgetting(history)),
        forward_transfer=known_mean(forward_transfer(history)),
        start_success=known_mean(start_success(history)),
        components=mixture.components if mixture else None,
        tasks_seen=len(seen),
        purity=mixture.purity if mixture else np.nan,
        env_steps=history.env_steps,
        updates=history.updates,
        wall_s=history.wall_s,
    )


class _Place(NamedTuple):
    """Where in the run a record was written."""

    stage: int
    update: int
    env_steps: int
    wall_s: float


class _Event(NamedTuple):
    """The start or end of a stage."""

    stage: int
    name: str
    tasks: tuple[str, ...]
    seen: tuple[str, ...]


def _place(record: Record) -> _Place:
    _ = record["kind"]
    return _Place(int(record["stage"]), int(record["update"]), int(record["env_steps"]), float(record["wall_s"]))


def _event(record: Record) -> _Event:
    if record["event"] not in ("start", "end"):
        raise ValueError(unknown("event", record["event"], ("start", "end")))
    return _Event(record["stage"], record["event"], tuple(record["tasks"]), tuple(record["seen"]))


def _measurement(record: Record) -> Measurement:
    counts = {name: Count(int(entry["successes"]), int(entry["episodes"])) for name, entry in record["tasks"].items()}
    condition = Condition(record["arm"], record["actuation"])
    place = _place(record)
    return Measurement(place.stage, record["when"], place.env_steps, int(record["stage_env_steps"]), condition, counts)


def _mixture(record: Record) -> Mixture:
    return Mixture(
        stage=record["stage"],
        tasks_seen=int(record["tasks_seen"]),
        components=int(record["components"]),
        purity=_number(record["purity"]),
        elbo=_number(record["elbo"]),
        births=int(record["births"]),
        merges=int(record["merges"]),
        engine=record["engine"],
    )


def _number(value: float | None) -> float:
    """JSON has no NaN: what is not finite is written as null."""
    return np.nan if value is None else float(value)


def _update(record: Record) -> tuple[int, dict[str, float]]:
    return record["update"], {name: float(value) for name, value in record["losses"].items() if value is not None}


_PARSERS: dict[str, Callable[[Record], Any]] = {
    "stage": _event,
    "evaluation": _measurement,
    "mixture": _mixture,
    "updates": _update,
}


def _stages(places: Sequence[_Place], events: Sequence[_Event]) -> tuple[StageRecord, ...]:
    stages = []
    for index in sorted({event.stage for event in events}):
        _, updates, env_steps, wall_s = zip(*(place for place in places if place.stage == index), strict=True)
        named = {event.name: event for event in events if event.stage == index}
        said = named.get("end") or named["start"]
        stages.append(
            StageRecord(
                index,
                said.tasks,
                said.seen,
                "end" in named,
                (min(env_steps), max(env_steps)),
                (min(updates), max(updates)),
                (min(wall_s), max(wall_s)),
            )
        )
    return tuple(stages)


def _losses(updates: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, Series]:
    names = dict.fromkeys(name for _, losses in updates for name in losses)
    return {
        name: Series(*np.array([(update, losses[name]) for update, losses in updates if name in losses], float).T)
        for name in names
    }


def _first(stages: Sequence[StageRecord]) -> Sequence[StageRecord]:
    return stages[:1]


def _first_later(stages: Sequence[StageRecord]) -> Sequence[StageRecord]:
    """The first own stage, unless it is the run's first."""
    return [stage for stage in stages[:1] if stage.index > 0]


def _last(stages: Sequence[StageRecord]) -> Sequence[StageRecord]:
    return stages[-1:]


def _own(
    history: History,
    choose: Callable[[Sequence[StageRecord]], Sequence[StageRecord]],
    value: Callable[[StageRecord, str], float],
) -> Vector:
    """`value` (tasks,) of the own stage that `choose` picks from a task's; NaN where it picks none."""
    values = [[value(stage, task) for stage in choose(history.own_stages(task))] for task in history.tasks]
    return np.array([found[0] if found else np.nan for found in values], float)


def _success(history: History, when: str, stage: StageRecord, task: str) -> float:
    found = history.at(when, stage=stage.index, task=task)
    return found[-1].tasks[task].success if found else np.nan


def stage_curve(history: History, stage: StageRecord, task: str) -> Curve:
    measured = history.at("stage_start", "round", "stage_end", stage=stage.index, task=task)
    return Curve.of((m.stage_env_steps, m.tasks[task].success) for m in measured)
