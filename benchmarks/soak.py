"""The whole graph for a long time in real time: memory, files, threads, deadlines, deaths, successes.

Every 20 s another of the ten tasks; every 10 s each process's memory (resident, anonymous, proportional), open files
and threads. Growth is that of the whole graph's resident and of its anonymous memory from the end of the warm-up (the
first round of all tasks) to the end of the run, each the median of a minute: neither depends on what else runs.
Exit code 1 if a bar is missed; Ctrl-C ends early with a report so far.
Run: python benchmarks/soak.py [--minutes 30] [--policy FOLDER] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from running_graph import (
    OWN_PRIORITY,
    CommandRecord,
    Sizes,
    graph_that_reports,
    longest_gap_ms,
    sizes,
)

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_ros.client import LegionClient
from legion_ros.domain import own_domain
from legion_ros.realtime import prioritise
from legion_ros.starter import Starter

GROWTH_BAR_PERCENT = 2.0
SECONDS_A_TASK = 20.0
SAMPLE_S = 10.0
MEDIAN_OF = 6
"""So many samples make a minute."""
MEASURES = ("rss_kb", "anonymous_kb", "pss_kb", "files", "threads")
MEMORY = {"resident": "rss_kb", "anonymous": "anonymous_kb", "proportional": "pss_kb"}
JUDGED = ("resident", "anonymous")


@dataclass
class Soak:
    """What a run has seen so far."""

    warm_up_s: float
    record: CommandRecord = field(default_factory=CommandRecord)
    samples: list[tuple[float, dict[str, Sizes]]] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    successes: Counter[str] = field(default_factory=Counter)
    events: list[str] = field(default_factory=list)
    interventions: dict[str, int] = field(default_factory=dict)
    restarts: int = 0

    def run(self, starter: Starter, client: LegionClient, bundle: PolicyBundle, seconds: float) -> None:
        """Until the time is over, adding to what is known step by step.

        Raises:
            DeploymentError: a process is lost for good, or the graph does not answer.
        """
        self.record.listen(client)
        began, tasks = time.monotonic(), bundle.manifest.tasks
        next_task = next_sample = 0.0
        task = ""
        while (now := time.monotonic() - began) < seconds:
            if now >= next_sample:
                self._sample(now, starter)
                next_sample += SAMPLE_S
            if now >= next_task:
                self._close(task, client)
                chosen = tasks[round(next_task / SECONDS_A_TASK) % len(tasks)]
                task = chosen.name
                client.say(chosen.description)
                self.attempts[task] += 1
                next_task += SECONDS_A_TASK
            client.spin(0.2)
            self.events += starter.poll()
        self._close(task, client)
        self._sample(seconds, starter)

    def _sample(self, now_s: float, starter: Starter) -> None:
        running = {process.spec.name: process.pid for process in starter.processes}
        self.samples.append((now_s, {name: sizes(pid) for name, pid in running.items() if pid is not None}))
        self.restarts = sum(process.restarts for process in starter.processes)

    def _close(self, task: str, client: LegionClient) -> None:
        """The account of the task that ends now."""
        self.interventions = client.interventions()
        if task and client.success is not None:
            self.successes[task] += 1

    def totals(self, measure: str) -> tuple[float, float]:
        """A measure of the whole graph after the warm-up and at the end: medians of a minute."""
        later = [
            sum(getattr(each, measure) for each in processes.values())
            for at_s, processes in self.samples
            if at_s >= self.warm_up_s
        ]
        return _ends(later)

    def by_process(self) -> dict[str, dict[str, tuple[float, float]]]:
        """The same for each process and measure."""
        later = [processes for at_s, processes in self.samples if at_s >= self.warm_up_s]
        names = sorted({name for processes in later for name in processes})
        return {
            name: {
                measure: _ends([getattr(each[name], measure) for each in later if name in each]) for measure in MEASURES
            }
            for name in names
        }


def _ends(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    return statistics.median(values[:MEDIAN_OF]), statistics.median(values[-MEDIAN_OF:])


def report(soak: Soak, longest_ms: float) -> dict[str, Any]:
    """Every figure; `bars` says which are kept."""
    memory = {}
    for name, measure in MEMORY.items():
        first, last = soak.totals(measure)
        memory[name] = {"warm MB": first / 1024, "end MB": last / 1024, "growth %": 100.0 * (last / first - 1.0)}
    commands = soak.record.figures()
    return {
        "minutes": soak.samples[-1][0] / 60.0 if soak.samples else 0.0,
        "memory": memory,
        "commands": commands,
        "restarts": soak.restarts,
        "tasks": sum(soak.attempts.values()),
        "successes": sum(soak.successes.values()),
        "failures": dict(soak.attempts - soak.successes),
        "interventions": soak.interventions,
        "events": soak.events,
        "by process": soak.by_process(),
        "bars": {
            f"memory growth <= {GROWTH_BAR_PERCENT:g} %": all(
                memory[name]["growth %"] <= GROWTH_BAR_PERCENT for name in JUDGED
            ),
            f"longest gap <= {longest_ms:g} ms (watchdog)": commands["longest gap ms"] <= longest_ms,
            "no process lost or restarted": soak.restarts == 0,
        },
    }


def show(figures: dict[str, Any]) -> None:
    """The report as Markdown."""
    print(f"\n| process | {' | '.join(f'{m}, warm -> end' for m in MEASURES)} |\n|---|{'---|' * len(MEASURES)}")
    for name, measures in figures["by process"].items():
        print(f"| {name} | {' | '.join(f'{a:.0f} -> {b:.0f}' for a, b in measures.values())} |")
    print("\n| figure | value |\n|---|---|")
    print(f"| minutes | {figures['minutes']:.1f} |")
    for name, memory in figures["memory"].items():
        first, last, growth = memory.values()
        print(f"| {name} memory of the graph | {first:.1f} -> {last:.1f} MB: {growth:+.2f} % |")
    for name, value in figures["commands"].items():
        print(f"| {name} | {value:.1f} |" if isinstance(value, float) else f"| {name} | {value} |")
    print(f"| restarts | {figures['restarts']} |")
    print(f"| successes | {figures['successes']} of {figures['tasks']} {figures['failures'] or ''} |")
    print(f"| interventions | {', '.join(f'{k} {v}' for k, v in figures['interventions'].items())} |")
    for bar, kept in figures["bars"].items():
        print(f"| {bar} | {'kept' if kept else 'MISSED'} |")
    for event in figures["events"]:
        print(f"- {event}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    bundle, longest_ms = PolicyBundle.load(options.policy or None), longest_gap_ms()
    soak = Soak(warm_up_s=SECONDS_A_TASK * len(bundle.manifest.tasks))
    lost = False
    try:
        with own_domain(), Starter(graph_that_reports(options.policy)) as starter, LegionClient() as client:
            prioritise(OWN_PRIORITY)
            for _ in starter.wait_ready():
                pass
            soak.run(starter, client, bundle, 60.0 * options.minutes)
    except KeyboardInterrupt:
        print("interrupted: the report so far", file=sys.stderr)
    except LegionError as error:
        print(f"soak: {error}", file=sys.stderr)
        lost = True
    figures = report(soak, longest_ms)
    show(figures)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(lost or not all(figures["bars"].values()))


if __name__ == "__main__":
    sys.exit(main())
