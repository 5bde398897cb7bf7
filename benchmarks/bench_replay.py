"""Time of the replay: drawing a batch, adding an episode, a checkpoint's mark and the way back to it; one thread.

The rows lie in a memory-mapped file, and the ring is full: each row that is added takes the place of another, which the
journal has to keep. Run: python benchmarks/bench_replay.py [--rows 1000000] [--folder FOLDER] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from legion_core.errors import LegionError
from legion_core.learning.replay import Replay, RowSpec, Transitions

BATCH, EPISODE, TASKS = 512, 150, 10
BARS = {f"{BATCH} rows, uniform": 0.5, f"{BATCH} rows, balanced": 0.5}


def random_transitions(rng: np.random.Generator, tasks: np.ndarray) -> Transitions:
    """One transition for each of `tasks`."""
    count, spec = len(tasks), RowSpec()
    observations, actions = ((count, size) for size in (spec.observation, spec.action))
    return Transitions(
        observation=rng.normal(size=observations),
        action=rng.normal(size=actions),
        reward=rng.normal(size=count),
        next_observation=rng.normal(size=observations),
        done=np.zeros(count),
        label=np.full(actions, np.nan),
        task=tasks,
        success=np.zeros(count),
    )


def milliseconds(function: Callable[[], object], repeats: int) -> list[float]:
    """How long each call took."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - began))
    return times


def measure(folder: Path, rows: int, repeats: int) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of every operation, milliseconds."""
    rng, replay = np.random.default_rng(0), Replay(folder, RowSpec(), rows)
    for tasks in np.array_split(np.sort(rng.integers(0, TASKS, rows)), 20):  # one task after the other
        replay.add(random_transitions(rng, tasks), rng)
    mark = replay.mark()
    episode = random_transitions(rng, np.full(EPISODE, TASKS - 1))
    times = {
        f"{BATCH} rows, uniform": milliseconds(lambda: replay.sample(rng, BATCH), repeats),
        f"{BATCH} rows, balanced": milliseconds(lambda: replay.sample(rng, BATCH, balance=True), repeats),
        f"add {EPISODE} rows": milliseconds(lambda: replay.add(episode, rng), min(repeats, 500)),
        "mark": milliseconds(replay.mark, 5),
        "rewind": milliseconds(lambda: replay.rewind(mark), 5),
    }
    return {
        name: {"median": float(np.median(values)), "p99": float(np.percentile(values, 99))}
        for name, values in times.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in the replay")
    parser.add_argument("--repeats", type=int, default=2000, help="batches drawn")
    parser.add_argument("--folder", type=Path, help="where to lay the file for a while (default: /tmp)")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            figures = measure(Path(folder), options.rows, options.repeats)
    except LegionError as error:
        print(f"bench_replay: {error}", file=sys.stderr)
        return 1
    print(f"| replay of {options.rows:,} rows | median ms | p99 ms | bar |\n|---|---|---|---|")
    for name, value in figures.items():
        bar = f"<= {BARS[name]:g}" if name in BARS else ""
        print(f"| {name} | {value['median']:.3f} | {value['p99']:.3f} | {bar} |")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
