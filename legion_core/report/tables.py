"""The tables of a report: numbers as text, with "-" for what was not measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isinf, isnan
from typing import Any

import numpy as np

from legion_core.evaluation import wilson_interval
from legion_core.learning import metrics
from legion_core.learning.metrics import NOTHING, Condition, Count, Meeting
from legion_core.report import paper
from legion_core.report.plots import stage_title
from legion_core.report.run import Run

UNKNOWN = "-"


@dataclass(frozen=True)
class Table:
    """Rows of text below a head; the first column names the row. `totals` are rows set apart below the others."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    totals: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    prose: bool = False
    """Whether the cells hold words, not numbers."""


@dataclass(frozen=True)
class Fact:
    """A number that a run is judged by, with what it is compared to."""

    name: str
    value: str
    remark: str = ""


def headline(run: Run) -> list[Fact]:
    """The run in a few numbers, the paper's beside them where it has such a run."""
    summary = metrics.summarise(run.history)
    published = paper.published(run.settings.get("mode", ""), run.order, run.tasks)
    when = "final" if summary.finished else "newest"
    return [
        Fact(f"mean success, {when}", number(summary.success, 3), f"paper {spread(published)}" if published else ""),
        Fact("worst task", number(summary.worst, 2), worst_task(run)),
        Fact("mean forgetting", signed(summary.forgetting, 3), "own stage minus final"),
        Fact("forward transfer", number(summary.forward_transfer, 3), "own stage, after others"),
        Fact(
            "components K",
            UNKNOWN if summary.components is None else str(summary.components),
            f"{summary.tasks_seen} of {len(run.tasks)} tasks met, purity {number(summary.purity, 3)}",
        ),
        Fact("environment steps", count(summary.env_steps), f"{count(summary.updates)} updates"),
        Fact("time", duration(summary.wall_s)),
    ]


def worst_task(run: Run) -> str:
    """The name of the task with the least final success."""
    values = metrics.final_success(run.history)
    return run.history.tasks[int(np.nanargmin(values))] if np.isfinite(values).any() else ""


def per_task(run: Run) -> Table:
    """What each task came to, in the order in which they were met."""
    history = run.history
    columns = {
        "at own stage's start": metrics.start_success(history),
        "over own stage": metrics.stage_mean_success(history),
        "own stage's end": metrics.own_success(history),
    }
    finals, forgetting = metrics.finals(history), metrics.forgetting(history)
    others = list(dict.fromkeys(m.condition for m in history.measurements if m.condition != history.condition))
    elsewhere = [metrics.finals(history, condition) for condition in others]
    when = "final" if history.finished else "newest"
    rows = [
        (
            task,
            ", ".join(str(stage.index + 1) for stage in history.own_stages(task)) or UNKNOWN,
            *(number(values[index], 2) for values in columns.values()),
            *proportion(finals.get(task, NOTHING)),
            signed(forgetting[index], 2),
            *(proportion(counts.get(task, NOTHING))[0] for counts in elsewhere),
        )
        for index, task in enumerate(history.tasks)
    ]
    totals = (
        "mean",
        "",
        *(number(metrics.known_mean(values), 3) for values in columns.values()),
        number(metrics.known_mean(metrics.final_success(history)), 3),
        "",
        signed(metrics.known_mean(forgetting), 3),
        *(number(metrics.known_mean([c.success for c in counts.values()]), 3) for counts in elsewhere),
    )
    head = (
        "task",
        "own stage",
        *columns,
        when,
        "95 % interval",
        "forgetting",
        *(f"{when}, {_named(c)}" for c in others),
    )
    note = f"Success on {_named(history.condition)}. Intervals are Wilson's." if history.condition else ""
    return Table(head, tuple(rows), (totals,), note)


def per_stage(run: Run) -> Table:
    """What each stage cost and led to."""
    history = run.history
    averages, fits = metrics.average_success(history), metrics.stage_mixtures(history)
    rows = [
        (
            f"{stage.index + 1}  {stage_title(history, stage)}",
            str(len(stage.seen)),
            number(average, 3),
            count(stage.env_steps[1] - stage.env_steps[0]),
            count(stage.updates[1] - stage.updates[0]),
            duration(stage.wall_s[1] - stage.wall_s[0]),
            *((str(fit.components), number(fit.purity, 3), bound(fit.elbo)) if fit else (UNKNOWN,) * 3),
            *(
                str(sum(getattr(f, kind) for f in history.mixtures if f.stage == stage.index))
                for kind in ("births", "merges")
            ),
            "ended" if stage.ended else "running",
        )
        for stage, average, fit in zip(history.stages, averages, fits, strict=True)
    ]
    head = ("stage", "tasks met", "mean success", "env steps", "updates", "time")
    return Table((*head, "K", "purity", "evidence bound", "births", "merges", "state"), tuple(rows))


def few_shot(run: Run) -> Table | None:
    """How fast each task was learned at each meeting; nothing for a run that meets each task once."""
    history = run.history
    met = {task: metrics.meetings(history, task) for task in history.tasks}
    most = max((len(meetings) for meetings in met.values()), default=0)
    if most < 2:
        return None
    rows = [(task, *_meetings(meetings, most), *_paper_steps(task)) for task, meetings in met.items()]
    last = [meetings[-1] for meetings in met.values() if len(meetings) > 1]
    ratios = [metrics.steps_ratio(m[0], m[-1]) for m in met.values() if len(m) > 1]
    blank = ("",) * most
    totals = (
        "mean",
        *blank,
        number(metrics.known_mean(ratios), 2),
        number(metrics.known_mean([m.gain for m in last]), 2),
        "",
        "",
    )
    steps = tuple(f"steps to {metrics.THRESHOLD}, meeting {number}" for number in range(1, most + 1))
    head = ("task", *steps, "last / first", "gain", "paper, first / third", "ratio")
    note = (
        f"Environment steps of a stage until a measured success of {metrics.THRESHOLD}; the gain is the share of the "
        "area above the first meeting's curve that the last one's fills."
    )
    return Table(head, tuple(rows), (totals,), note)


def _meetings(meetings: Sequence[Meeting], most: int) -> tuple[str, ...]:
    steps = [steps_text(meeting.steps) for meeting in meetings] + [UNKNOWN] * (most - len(meetings))
    if len(meetings) < 2:
        return (*steps, UNKNOWN, UNKNOWN)
    ratio = metrics.steps_ratio(meetings[0], meetings[-1])
    return (*steps, "never" if isinf(ratio) else number(ratio, 2), number(meetings[-1].gain, 2))


def _paper_steps(task: str) -> tuple[str, str]:
    if task not in paper.FEW_SHOT_STEPS:
        return UNKNOWN, UNKNOWN
    first, third = paper.FEW_SHOT_STEPS[task]
    return f"{steps_text(first)} / {steps_text(third)}", UNKNOWN if isinf(first) else number(third / first, 2)


def cross_embodiment(run: Run) -> Table | None:
    """Success on each arm; nothing where it was not measured."""
    arms = run.arms
    if arms is None:
        return None
    head = ["task"]
    for arm in arms.arms:
        head += [arms.title(arm), "95 % interval"]
    rows = [
        (task, *(text for counts in arms.arms.values() for text in proportion(counts.get(task, NOTHING))))
        for task in arms.tasks
    ]
    totals = ("mean", *(text for arm in arms.arms for text in (number(arms.mean(arm), 3), "")))
    return Table(tuple(head), tuple(rows), (totals,), "The same layouts on both arms, mocap actuation.")


def comparison(groups: Mapping[str, Sequence[Run]]) -> Table:
    """A row a group of runs that differ in their seeds: mean and standard deviation over those that are finished."""
    rows = []
    for name, runs in groups.items():
        summaries = [metrics.summarise(run.history) for run in runs if run.finished]
        published = paper.published(runs[0].settings.get("mode", ""), runs[0].order, runs[0].tasks)
        unfinished = len(runs) - len(summaries)
        rows.append(
            (
                name,
                f"{len(summaries)}" + (f" (+{unfinished} unfinished)" if unfinished else ""),
                mean_and_deviation([s.success for s in summaries], 3),
                spread(published) if published else UNKNOWN,
                mean_and_deviation([s.worst for s in summaries], 2),
                mean_and_deviation([s.forgetting for s in summaries], 3),
                mean_and_deviation([s.forward_transfer for s in summaries], 3),
                mean_and_deviation([np.nan if s.components is None else s.components for s in summaries], 1),
                mean_and_deviation([s.purity for s in summaries], 3),
                duration(float(np.mean([s.wall_s for s in summaries]))) if summaries else UNKNOWN,
            )
        )
    head = ("runs", "number", "mean success", "paper's", "worst task", "forgetting", "forward transfer", "K", "purity")
    note = f"Mean ± standard deviation over the finished runs of a row. The paper's: {paper.SOURCE}."
    return Table((*head, "time"), tuple(rows), (), note)


def runs(every: Sequence[Run]) -> Table:
    """A row a run."""
    rows = []
    for run in every:
        summary = metrics.summarise(run.history)
        rows.append(
            (
                run.name,
                run.group,
                str(run.settings.get("seed", UNKNOWN)),
                "finished" if run.finished else f"{ended(run)} of {len(run.plan)} stages",
                number(summary.success, 3),
                number(summary.worst, 2),
                signed(summary.forgetting, 3),
                UNKNOWN if summary.components is None else str(summary.components),
                number(summary.purity, 3),
                count(summary.env_steps),
                duration(summary.wall_s),
            )
        )
    head = (
        "run",
        "kind",
        "seed",
        "state",
        "mean success",
        "worst task",
        "forgetting",
        "K",
        "purity",
        "env steps",
        "time",
    )
    return Table(head, tuple(rows))


def by_task(every: Sequence[Run]) -> Table:
    """Final success of each task in each run."""
    finals = [metrics.finals(run.history) for run in every]
    tasks = list(dict.fromkeys(task for run in every for task in run.tasks))
    rows = [(task, *(number(counts.get(task, NOTHING).success, 2) for counts in finals)) for task in tasks]
    return Table(("task", *(run.name for run in every)), tuple(rows))


def settings(values: Mapping[str, Any]) -> Table:
    """Every setting, nested ones by their path."""
    return Table(("setting", "value"), tuple(_flat(values)), prose=True)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", ", ".join(str(item) for item in value) or "none"
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def ended(run: Run) -> int:
    """How many stages have ended."""
    return sum(stage.ended for stage in run.history.stages)


def number(value: float, digits: int) -> str:
    """`value`, or "-"."""
    return f"{value:.{digits}f}" if isfinite(value) else UNKNOWN


def bound(value: float) -> str:
    """An evidence bound, its thousands apart, or "-"."""
    return f"{value:,.1f}" if isfinite(value) else UNKNOWN


def signed(value: float, digits: int) -> str:
    """`value` with its sign, none where it rounds to zero; or "-"."""
    text = f"{value:+.{digits}f}" if isfinite(value) else UNKNOWN
    return text[1:] if text != UNKNOWN and float(text) == 0 else text


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def steps_text(steps: float) -> str:
    """A number of steps, `never`, or "-"."""
    if isnan(steps):
        return UNKNOWN
    return "never" if isinf(steps) else count(steps)


def proportion(of: Count) -> tuple[str, str]:
    """Success with its count, and its 95 % interval."""
    if not of.episodes:
        return UNKNOWN, UNKNOWN
    low, high = wilson_interval(*of)
    return f"{of.success:.2f} ({of.successes}/{of.episodes})", f"{low:.2f} to {high:.2f}"


def duration(seconds: float) -> str:
    """`42 s`, `12 min 3 s` or `3 h 25 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def mean_and_deviation(values: Sequence[float], digits: int) -> str:
    """`0.952 ± 0.011` over what is known; the deviation (of a sample) needs two values."""
    known = [value for value in values if isfinite(value)]
    if not known:
        return UNKNOWN
    mean = f"{np.mean(known):.{digits}f}"
    return f"{mean} ± {np.std(known, ddof=1):.{digits}f}" if len(known) > 1 else mean


def spread(published: paper.Published) -> str:
    """The paper's figure with its deviation and number of runs, as far as they are known."""
    text = f"{published.success:.3f}"
    text += f" ± {published.deviation:.3f}" if published.deviation else ""
    return f"{text} ({published.runs} runs)" if published.runs else text


def _named(condition: Condition) -> str:
    return f"{condition.arm}, {condition.actuation}"
