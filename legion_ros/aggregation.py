"""The health of the whole graph as one tree, as ROS 2's diagnostic aggregator would publish it on /diagnostics_agg.

/LEGION holds groups (robot, perception, ...), these hold nodes and what flows between them. The worst level goes
upwards; a node that does not report is stale.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus

from legion_ros.diagnostics import MEND, key_values
from legion_ros.mending import GUARD, Problem
from legion_sim2real.interventions import Intervention, Level

TREE = "LEGION"
GROUPS = {
    "robot": ("mujoco_node",),
    "perception": ("real2sim_node",),
    "policy": ("policy_node",),
    "safety": ("sim2real_node", "watchdog_node"),
    "operator": ("language_node", "voice_node", "mission_node", "web_node", "record_node", "monitor_node"),
}
EXPECTED = ("real2sim_node", "policy_node", "sim2real_node", "watchdog_node", "language_node")
"""The nodes of every deployment."""
PASSING = ("record_node",)
"""Nodes that come and go as the operator pleases: their silence is no fault."""
SILENT_S = 2.0
"""A node whose last report is older than this is stale."""
LASTING_S = 1.2
"""The guard is reported twice a second: an intervention that was not counted for so long is over."""
OK, WARN, ERROR, STALE = (
    int.from_bytes(level, "little")
    for level in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)
)
BY_NAME = {each.value: each for each in Intervention}
SEVERITY = {Level.CLEAR: OK, Level.SLOW: OK, Level.HOLD: WARN, Level.STOP: ERROR}


@dataclass(frozen=True)
class Stream:
    """What flows between nodes: whose report tells its age, under which key, and what is wrong once it is too old.

    Without such a problem it may be of any age.
    """

    group: str
    name: str
    node: str
    key: str
    too_old: Problem | None = None
    limit_s: float = 2.0


STREAMS = (
    Stream("robot", "joint_states", "real2sim_node", "joint_state_age_s", Problem.NO_JOINT_STATES),
    Stream("perception", "object", "real2sim_node", "object_age_s", Problem.NO_OBJECT),
    Stream("policy", "observation", "policy_node", "observation_age_s", Problem.NO_OBSERVATION),
    Stream("safety", "action", "sim2real_node", "action_age_s"),
)


@dataclass(frozen=True)
class Part:
    """A leaf of the tree."""

    level: int
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Report:
    level: int
    message: str
    values: dict[str, str]
    at: float


class Aggregator:
    """Takes the reports of a deployment's nodes in, and gives its tree.

    Args:
        namespace: that of the deployment, '' or beginning with '/'.
        clock: the time in seconds.
    """

    def __init__(self, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._namespace = namespace
        self._clock = clock
        self._nodes: dict[str, _Report] = {}
        self._guard = _GuardWatch()

    def hear(self, status: DiagnosticStatus) -> None:
        """The report of a node; those of other deployments are left out."""
        namespace, slash, name = status.name.rpartition("/")
        if not slash or namespace != self._namespace:
            return
        values, now = {pair.key: pair.value for pair in status.values}, self._clock()
        self._nodes[name] = _Report(int.from_bytes(status.level, "little"), status.message, values, now)
        if name == "sim2real_node":
            self._guard.count(values, now)

    def value(self, node: str, key: str, default: str) -> str:
        """A value of a node's newest report."""
        report = self._nodes.get(node)
        return report.values.get(key, default) if report else default

    def troubles(self) -> dict[str, str]:
        """What the nodes that are not well said last, by name."""
        self._forget()
        parts = {name: self._node(name) for name in sorted(self._nodes)}
        return {name: part.message for name, part in parts.items() if part.level != OK}

    def statuses(self) -> list[DiagnosticStatus]:
        """The tree, each parent before its children."""
        self._forget()
        root = f"{self._namespace}/{TREE}"
        groups = {group: dict(self._parts(group)) for group in (*GROUPS, "other")}
        groups = {group: parts for group, parts in groups.items() if parts}
        summaries = {group: _summary(parts) for group, parts in groups.items()}
        tree = [_status(root, _summary(summaries))]
        for group, parts in groups.items():
            tree.append(_status(f"{root}/{group}", summaries[group]))
            tree += [_status(f"{root}/{group}/{name}", part) for name, part in parts.items()]
        return tree

    def _forget(self) -> None:
        for name in PASSING:
            if name in self._nodes and self._clock() - self._nodes[name].at > SILENT_S:
                del self._nodes[name]

    def _parts(self, group: str) -> Iterator[tuple[str, Part]]:
        for name in self._members(group):
            yield name, self._node(name)
        for stream in STREAMS:
            report = self._nodes.get(stream.node)
            if stream.group == group and report is not None and stream.key in report.values:
                yield stream.name, _stream(stream, float(report.values[stream.key]))
        if group == "safety" and "sim2real_node" in self._nodes:
            yield "guard", self._guard.part(self._clock())

    def _members(self, group: str) -> list[str]:
        """Nodes of the group that were heard or should be."""
        if group in GROUPS:
            return [name for name in GROUPS[group] if name in self._nodes or name in EXPECTED]
        known = {name for names in GROUPS.values() for name in names}
        return sorted(set(self._nodes) - known)

    def _node(self, name: str) -> Part:
        report = self._nodes.get(name)
        silent_s = math.inf if report is None else self._clock() - report.at
        if report is None or silent_s > SILENT_S:
            message = (
                "has not reported yet" if report is None else f"silent for {silent_s:.0f} s; last: {report.message}"
            )
            return Part(STALE, message, _mend(Problem.SILENT))
        return Part(report.level, report.message, report.values)


class _GuardWatch:
    """What the guard does at present and since when, from its counts in successive reports."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lasting: dict[str, tuple[float, float]] = {}
        self._stop_reason = ""

    def count(self, values: Mapping[str, str], now: float) -> None:
        """Take a report of sim2real_node in."""
        counts = {key.removeprefix("guard."): int(value) for key, value in values.items() if key.startswith("guard.")}
        for name, count in counts.items():
            if count != self._counts.get(name, 0):
                begun, last = self._lasting.get(name, (now, now))
                self._lasting[name] = (begun if now - last <= LASTING_S else now, now)
        self._counts = counts
        self._stop_reason = values.get("stop_reason", "") if values.get("e_stop") == "True" else ""

    def part(self, now: float) -> Part:
        """Every intervention that lasts by name, with the remedy of those that keep the arm from moving."""
        lasting = {name: begun for name, (begun, last) in self._lasting.items() if now - last <= LASTING_S}
        values: dict[str, object] = {f"count.{name}": count for name, count in self._counts.items()}
        values |= {f"since_s.{name}": now - begun for name, begun in lasting.items()}
        known = [BY_NAME[name] for name in lasting]
        severe = [each for each in known if SEVERITY[each.level] > OK]
        for each in severe:
            values[f"{MEND}{each.value}"] = GUARD[each].mend
        texts = [f"{name} for {now - begun:.1f} s" for name, begun in lasting.items()]
        if self._stop_reason:
            values |= _mend(Problem.E_STOP)
            return Part(ERROR, "; ".join([f"emergency stop: {self._stop_reason}", *texts]), values)
        level = max((SEVERITY[each.level] for each in severe), default=OK)
        return Part(level, "; ".join(texts) or "nothing to change", values)


def _stream(stream: Stream, age_s: float) -> Part:
    values: dict[str, object] = {"age_s": age_s}
    text = f"{1e3 * age_s:.0f} ms old" if age_s < 1.0 else f"{age_s:.1f} s old"
    text = "nothing has come yet" if math.isnan(age_s) else text
    if stream.too_old is None or age_s <= stream.limit_s:
        return Part(OK, text, values)
    return Part(ERROR, text, values | _mend(stream.too_old))


def _summary(parts: Mapping[str, Part]) -> Part:
    """A parent: stale where all its children are, in error where one of several is; it names who is not well."""
    levels = [part.level for part in parts.values()]
    level = max(levels)
    if level == STALE and min(levels) != STALE:
        level = ERROR
    troubled = [f"{name}: {part.message}" for name, part in parts.items() if part.level != OK]
    return Part(level, "; ".join(troubled) or "well", {name: part.message for name, part in parts.items()})


def _mend(problem: Problem) -> dict[str, object]:
    return {f"{MEND}{problem.value}": problem.mend}


def _status(name: str, part: Part) -> DiagnosticStatus:
    return DiagnosticStatus(level=bytes([part.level]), name=name, message=part.message, values=key_values(part.values))
