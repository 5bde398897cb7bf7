"""What the benchmarks of the running graph share: the commands as the robot received them, and what processes take."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from legion_ros.client import Episode, LegionClient
from legion_ros.deployment import DeploymentOptions, NodeSpec, deployment_graph
from legion_ros.stamps import NS_PER_S
from legion_sim2real.robot import load_profile

REPORT_HZ = 200.0
"""More than the simulator's rate: every control period is reported."""
OWN_PRIORITY = 25
"""Who measures comes before what is measured, or reports get lost under load; it takes a few percent of a processor."""


def graph_that_reports(policy: str, realtime: bool = True) -> tuple[NodeSpec, ...]:
    """The graph of MuJoCo's robot, which reports every control period."""
    graph = deployment_graph(DeploymentOptions(policy=policy, realtime=realtime))
    extra = {"mujoco_node": {"report_hz": REPORT_HZ}}
    return tuple(replace(spec, parameters=spec.parameters | extra.get(spec.name, {})) for spec in graph)


def longest_gap_ms() -> float:
    """The watchdog: a longer time between two commands brakes the arm, or starts it again from the measured pose."""
    safety = load_profile("mujoco").load_safety()
    return 1e3 * min(safety.max_period_s, safety.action_timeout_s)


@dataclass
class CommandRecord:
    """Every control period that the simulated robot reported: its stamp, and how long its command took.

    `missed` counts periods without a command and `longest_gap_s` is the longest time between two commands, both between
    the first and the last command of an episode; `lost` counts periods whose report did not come.
    """

    latencies_s: list[float] = field(default_factory=list)
    missed: int = 0
    longest_gap_s: float = 0.0
    lost: int = 0
    _previous: Episode | None = None
    _unanswered: int = 0
    _arrived_s: float = math.nan

    def listen(self, client: LegionClient) -> None:
        """Take every report from now on."""
        client.on_episode = self.add

    def add(self, episode: Episode) -> None:
        """One report. Its latency is that of the command that answered the state before."""
        before, self._previous = self._previous, episode
        if before is None or before.values["seed"] != episode.values["seed"] or episode.step <= before.step:
            self._unanswered, self._arrived_s = 0, math.nan
            return
        if episode.step > before.step + 1:
            self.lost += episode.step - before.step - 1
            self._unanswered, self._arrived_s = 0, math.nan
            return
        latency_s = episode.values["command_latency_s"]
        if math.isnan(latency_s):
            self._unanswered += 1
            return
        self.latencies_s.append(latency_s)
        arrived_s = before.stamp_ns / NS_PER_S + latency_s
        if not math.isnan(self._arrived_s):
            self.missed += self._unanswered
            self.longest_gap_s = max(self.longest_gap_s, arrived_s - self._arrived_s)
        self._unanswered, self._arrived_s = 0, arrived_s

    def figures(self) -> dict[str, float]:
        """Latencies and gaps in milliseconds, and counts of control periods."""
        percentiles = np.percentile(self.latencies_s or [math.nan], (50, 99, 100))
        median, p99, worst = (float(1e3 * value) for value in percentiles)
        return {
            "commands": len(self.latencies_s),
            "p50 ms": median,
            "p99 ms": p99,
            "max ms": worst,
            "missed periods": self.missed,
            "longest gap ms": 1e3 * self.longest_gap_s if self.latencies_s else math.inf,
            "reports lost": self.lost,
        }


@dataclass(frozen=True)
class Sizes:
    """What a process takes: memory and handles.

    Resident memory is all that is in RAM; of that, anonymous memory is what it has made itself, which is where a leak
    shows; the proportional size counts a page once over all processes, so it changes when others come and go.
    """

    rss_kb: int
    anonymous_kb: int
    pss_kb: int
    files: int
    threads: int


def sizes(pid: int) -> Sizes:
    """What a process takes now."""
    folder = Path(f"/proc/{pid}")
    lines = (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines}
    files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
    return Sizes(kilobytes["Rss:"], kilobytes["Anonymous:"], kilobytes["Pss:"], files, threads)
