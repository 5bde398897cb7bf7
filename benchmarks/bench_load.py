"""Joint state in, command out through the whole graph in real time, while other processes want the processors.

The load is one endless loop a processor ("full") or two ("twice"), pinned to it, at ordinary priority. Each load is
measured with the nodes' real-time scheduling and without. Latency is what the simulated robot sees: from the joint
state it publishes to the command that answers it. The bar is for "full" with real-time scheduling.
Run: python benchmarks/bench_load.py [--seconds 60] [--policy FOLDER] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running_graph import OWN_PRIORITY, CommandRecord, graph_that_reports, longest_gap_ms

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_core.parent import die_with_parent
from legion_ros.client import LegionClient
from legion_ros.domain import own_domain
from legion_ros.realtime import obtainable, prioritise
from legion_ros.starter import Starter

P99_BAR_MS = 12.5
LOADS = {"none": 0, "full": 1, "twice": 2}
"""Endless loops a processor."""
SECONDS_A_TASK = 10.0
SETTLE_S = 3.0


@contextmanager
def busy(loops_a_processor: int) -> Iterator[None]:
    """That many endless loops on every processor."""
    processes = []
    try:
        for processor in sorted(os.sched_getaffinity(0)) * loops_a_processor:
            code = f"import os\nos.sched_setaffinity(0, [{processor}])\nwhile True: pass"
            # a session of its own: the scheduler's autogroups would make all loops share what one process gets
            command = [sys.executable, "-c", code]
            processes.append(subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def idle_s() -> float:
    """What all processors together have been idle."""
    return int(Path("/proc/stat").read_text(encoding="ascii").split()[4]) / os.sysconf("SC_CLK_TCK")


def measure(client: LegionClient, bundle: PolicyBundle, seconds: float) -> dict[str, Any]:
    """One load: one task after the other, so that scenes change as in earnest."""
    tasks = itertools.cycle(bundle.manifest.tasks)
    client.say(next(tasks).description)
    client.spin(SETTLE_S)
    record, before = CommandRecord(), client.interventions()
    record.listen(client)
    idle_before_s, began = idle_s(), time.monotonic()
    while (left := began + seconds - time.monotonic()) > 0:
        client.spin(min(left, SECONDS_A_TASK))
        client.say(next(tasks).description)
    idle = (idle_s() - idle_before_s) / (time.monotonic() - began) / len(os.sched_getaffinity(0))
    client.spin(1.0)
    counts = {name: count - before.get(name, 0) for name, count in client.interventions().items()}
    return {
        **record.figures(),
        "idle %": 100.0 * idle,
        "interventions": {name: count for name, count in counts.items() if count},
    }


def run(policy: str, seconds: float) -> list[dict[str, Any]]:
    """All rows of the table."""
    bundle, rows = PolicyBundle.load(policy or None), []
    for realtime in (True, False):
        with own_domain(), Starter(graph_that_reports(policy, realtime)) as starter, LegionClient() as client:
            prioritise(OWN_PRIORITY)
            for _ in starter.wait_ready():
                pass
            for name, loops in LOADS.items():
                with busy(loops):
                    row = {"real-time scheduling": realtime, "load": name, **measure(client, bundle, seconds)}
                starter.poll()  # raises if a node was lost meanwhile
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    figures = (f"{value:.1f}" if isinstance(value, float) else f"{value}" for value in row.values())
    return f"| {' | '.join(figures)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure each row")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    longest_ms = longest_gap_ms()
    print(f"this user may have: {obtainable().value}; bar: p99 <= {P99_BAR_MS} ms, gap <= {longest_ms:g} ms (watchdog)")
    columns = ["real-time", "load", *CommandRecord().figures(), "idle %", "interventions"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    try:
        rows = run(options.policy, options.seconds)
    except LegionError as error:
        print(f"bench_load: {error}", file=sys.stderr)
        return 1
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    judged = next(row for row in rows if row["real-time scheduling"] and row["load"] == "full")
    kept = judged["p99 ms"] <= P99_BAR_MS and judged["longest gap ms"] <= longest_ms  # neither without a command
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
