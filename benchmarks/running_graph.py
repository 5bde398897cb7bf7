"""What the benchmarks of the running graph share: the commands as the robot received them, and the processes' sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from legion_ros.client import Episode, LegionClient
from legion_ros.stamps import NS_PER_S

EVERY_PERIOD = {"report_hz": 200.0}
"""Parameters of mujoco_node with which it reports every control period."""


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
            "longest gap ms": 1e3 * self.longest_gap_s,
            "reports lost": self.lost,
        }


def interventions(client: LegionClient) -> dict[str, int]:
    """The guard's interventions so far, by name."""
    status = client.status.get("sim2real_node")
    values = status.values if status else {}
    return {key.removeprefix("guard."): int(value) for key, value in values.items() if key.startswith("guard.")}


def memory_kb(pid: int) -> tuple[int, int]:
    """Resident and proportional set size: shared pages count once over all processes in the latter."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, size = line.split()[:2]
        sizes[name] = int(size)
    return sizes["Rss:"], sizes["Pss:"]
