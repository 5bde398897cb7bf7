"""Time of a mixture fit: the own engine against bnpy, on the same latents, in one run.

CPU time of one thread, which other work on the machine disturbs less than the clock on the wall.

A first fit starts from one component, a warm fit from the last result, as in a lifelong run. Both engines have
LEGION's settings. The small set are the given latents (or as many synthetic ones), the large one ten times as many:
given latents are drawn again with noise of half the spread within their task.
Run: python benchmarks/bench_mixture.py [--latents FILE.npz with z (N, D) and env_name (N,)] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.update(
    OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMEXPR_NUM_THREADS="1", NUMEXPR_MAX_THREADS="1"
)

import numpy as np

from legion_core.mixture import make_engine, purity

SEEDS = 5
ENGINES = ("memoized", "bnpy")


@dataclass
class Row:
    """One engine on one set of latents: medians over the seeds, the worst bound."""

    latents: int
    fit: str
    engine: str
    median_ms: float
    components: list[int]
    purity: float
    elbo: float


def synthetic(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten separated Gaussians in ten dimensions."""
    rng = np.random.default_rng(0)
    task = np.arange(rows) % 10
    return rng.normal(0, 10, (10, 10))[task] + rng.normal(size=(rows, 10)), task.astype(str)


def published(file: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The latents of a file, or `rows` drawn from around them."""
    with np.load(file, allow_pickle=False) as data:
        z, task = data["z"].astype(np.float64), data["env_name"]
    if rows == len(z):
        return z, task
    rng = np.random.default_rng(0)
    spread = np.empty_like(z)
    for name in np.unique(task):
        spread[task == name] = z[task == name].std(axis=0)
    drawn = rng.integers(len(z), size=rows)
    return z[drawn] + 0.5 * spread[drawn] * rng.normal(size=(rows, z.shape[1])), task[drawn]


def measure(z: np.ndarray, task: np.ndarray) -> list[Row]:
    """First and warm fits of both engines, taking turns so that a disturbance of the machine meets both."""
    times: dict[tuple[str, str], list[float]] = {}
    fits: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    for name in ENGINES:
        make_engine(name).fit(z[:500])  # imports and first calls
    for seed in range(SEEDS):
        for name in ENGINES:
            engine = make_engine(name, seed=seed)
            for kind in ("first", "warm"):
                start = time.process_time()
                fit = engine.fit(z)
                times.setdefault((kind, name), []).append(time.process_time() - start)
                result = (fit.components, purity(fit.assignment, task.tolist()), fit.elbo)
                fits.setdefault((kind, name), []).append(result)
    rows = []
    for (kind, name), durations in times.items():
        components, purities, elbos = zip(*fits[kind, name], strict=True)
        median_ms = 1e3 * float(np.median(durations))
        rows.append(Row(len(z), kind, name, median_ms, sorted(set(components)), min(purities), min(elbos)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, help="npz with z (N, D) and env_name (N,); default: synthetic ones")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    small = 3000
    if options.latents:
        with np.load(options.latents, allow_pickle=False) as data:
            small = len(data["z"])
    rows: list[Row] = []
    ratios: dict[str, float] = {}
    for count in (small, 10 * small):
        z, task = published(options.latents, count) if options.latents else synthetic(count)
        measured = measure(z, task)
        by_key = {(row.fit, row.engine): row.median_ms for row in measured}
        for kind in ("first", "warm"):
            ratios[f"{count} {kind}"] = by_key[kind, "bnpy"] / by_key[kind, "memoized"]
        rows += measured
    source = options.latents.name if options.latents else "synthetic"
    print(f"| {source} latents | fit | engine | median CPU ms | K | purity, worst | evidence bound, worst |")
    print("|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: (row.latents, row.fit, row.engine)):
        found = ", ".join(map(str, row.components))
        cells = (
            row.latents,
            row.fit,
            row.engine,
            f"{row.median_ms:.1f}",
            found,
            f"{row.purity:.4f}",
            f"{row.elbo:.3f}",
        )
        print(f"| {' | '.join(map(str, cells))} |")
    print()
    for name, ratio in ratios.items():
        print(f"{name}: the own engine is {ratio:.1f} times as fast as bnpy")
    if options.json:
        figures = {"latents": source, "seeds": SEEDS, "rows": [asdict(row) for row in rows], "times as fast": ratios}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
