"""What recording costs: CPU and memory of the recorder, and latency with and without one in the same running graph.

Stretches with and without a recorder take turns, so that what else the machine does falls on both alike.
Run: python benchmarks/bench_recording.py [--policy FOLDER] [--seconds 15] [--rounds 3] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from running_graph import CommandRecord, graph_that_reports, sizes

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_ros.client import LegionClient
from legion_ros.domain import own_domain
from legion_ros.recording.recording import Recording
from legion_ros.recording.replay import replay
from legion_ros.starter import Starter

SECONDS_A_TASK = 5.0
SETTLE_S = 3.0
"""A recorder that starts loads its libraries first."""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def recorder(file: Path) -> Iterator[int]:
    """A running `legion record`, by its process."""
    program = [sys.executable, "-m", "legion_ros.cli.main", "record", "-o", str(file)]
    with subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        yield process.pid
        process.send_signal(signal.SIGINT)


def stretch(client: LegionClient, seconds: float) -> list[float]:
    """Latencies in seconds while one task follows the other."""
    record = CommandRecord()
    record.listen(client)
    for task in itertools.cycle(PolicyBundle.load().manifest.tasks):
        client.say(task.description)
        client.spin(min(SECONDS_A_TASK, seconds))
        seconds -= SECONDS_A_TASK
        if seconds <= 0:
            return record.latencies_s
    raise AssertionError


def measure(policy: str, seconds: float, rounds: int) -> dict[str, Any]:
    """All figures."""
    without: list[float] = []
    recorded: list[float] = []
    shares, resident, rates = [], [], []
    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        own_domain(),
        Starter(graph_that_reports(policy)) as starter,
        LegionClient() as client,
    ):
        for _ in starter.wait_ready():
            pass
        client.spin(SETTLE_S)
        for i in range(rounds):
            without += stretch(client, seconds)
            file = Path(folder) / f"{i}.mcap"
            with recorder(file) as pid:
                client.spin(2 * SETTLE_S)
                began, before, bytes_before = time.monotonic(), cpu_seconds(pid), file.stat().st_size
                recorded += stretch(client, seconds)
                took = time.monotonic() - began
                shares.append((cpu_seconds(pid) - before) / took)
                rates.append((file.stat().st_size - bytes_before) / took)
                resident.append(sizes(pid).rss_kb / 1024)
            found = replay(Recording.open(file))
            for name, outcome in (("actions", found.actions), ("observations", found.observations)):
                counts[f"{name} compared"] += outcome.compared
                counts[f"{name} the same"] += outcome.same
                counts[f"{name} not compared"] += sum(outcome.unchecked.values())
    figures: dict[str, Any] = {}
    for name, latencies in (("without", without), ("with", recorded)):
        median, p99 = np.percentile(latencies, (50, 99))
        figures |= {f"latency {name} recorder, median ms": 1e3 * median, f"latency {name} recorder, p99 ms": 1e3 * p99}
    return {
        **figures,
        "recorder, % of one core": 100 * float(np.mean(shares)),
        "recorder, resident MB": float(np.mean(resident)),
        "file, kB a second": 1e-3 * float(np.mean(rates)),
        **counts,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each stretch")
    parser.add_argument("--rounds", type=int, default=3, help="stretches with, and without")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    try:
        figures = measure(options.policy, options.seconds, options.rounds)
    except LegionError as error:
        print(f"bench_recording: {error}", file=sys.stderr)
        return 1
    print("| whole graph, real time | measured |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.2f} |" if isinstance(value, float) else f"| {name} | {value} |")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
