"""How often a policy succeeds, with what certainty, and at what cost: the same records and table for every loop."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.config import require
from legion_core.policy import LegionPolicy
from legion_core.workers import run_jobs, worker_pool

if TYPE_CHECKING:
    from legion_core.sim import ArmBridge, RealityGap

Z_95 = 1.959964
EPISODES_A_JOB = 10


@dataclass(frozen=True)
class Episode:
    """One episode: `steps` policy steps in `time_s` simulated seconds, up to success or the time limit."""

    task: str
    seed: int
    success: bool
    steps: int
    time_s: float
    latencies_ms: tuple[float, ...] = ()
    """From the policy's input to its output (direct), or from joint state to joint command (ROS), for each step."""
    interventions: dict[str, int] = field(default_factory=dict)
    """How often the safety guard intervened, by name."""


@dataclass(frozen=True)
class Summary:
    """A group of episodes in numbers; steps and time are means over its successes, NaN without any."""

    name: str
    episodes: int
    successes: int
    steps: float
    time_s: float
    latency_ms: tuple[float, float]
    """Median and 99th percentile."""
    interventions: dict[str, int]

    @property
    def success(self) -> float:
        """The share of successes."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success."""
        return wilson_interval(self.successes, self.episodes)

    @classmethod
    def of(cls, name: str, episodes: Sequence[Episode]) -> Summary:
        """The numbers of at least one episode."""
        solved = [e for e in episodes if e.success]
        latencies = [latency for e in episodes for latency in e.latencies_ms]
        median, p99 = np.percentile(latencies, (50, 99)) if latencies else (np.nan, np.nan)
        return cls(
            name,
            len(episodes),
            len(solved),
            float(np.mean([e.steps for e in solved])) if solved else np.nan,
            float(np.mean([e.time_s for e in solved])) if solved else np.nan,
            (float(median), float(p99)),
            dict(sum((Counter(e.interventions) for e in episodes), Counter()).most_common()),
        )


@dataclass(frozen=True)
class Evaluation:
    """Episodes and the settings under which they were run."""

    settings: dict[str, Any]
    episodes: tuple[Episode, ...]

    @property
    def tasks(self) -> list[Summary]:
        """One summary a task, in the order in which the tasks were run."""
        names = dict.fromkeys(e.task for e in self.episodes)
        return [Summary.of(name, [e for e in self.episodes if e.task == name]) for name in names]

    @property
    def total(self) -> Summary:
        """All episodes together."""
        return Summary.of("all", self.episodes)

    @property
    def mean_success(self) -> float:
        """The mean over tasks."""
        return float(np.mean([task.success for task in self.tasks]))

    @property
    def worst_success(self) -> float:
        """The least over tasks."""
        return min(task.success for task in self.tasks)

    def markdown(self) -> str:
        """A table with a row a task and one for all, headed by the settings."""
        heading = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        columns = "| task | success | 95 % interval | steps | time s | guard interventions | latency ms p50 / p99 |"
        rows = [_row(summary) for summary in (*self.tasks, self.total)]
        return "\n".join([heading, "", columns, "|---" * 7 + "|", *rows, ""])

    def mapping(self) -> dict[str, Any]:
        """Everything but the single latencies, ready for JSON (a missing number is None)."""
        return {
            "settings": self.settings,
            "mean_success": self.mean_success,
            "worst_success": self.worst_success,
            "total": _mapping(self.total),
            "tasks": [_mapping(task) for task in self.tasks],
            "episodes": [
                {
                    "task": e.task,
                    "seed": e.seed,
                    "success": e.success,
                    "steps": e.steps,
                    "time_s": round(e.time_s, 4),
                    "interventions": e.interventions,
                }
                for e in self.episodes
            ],
        }

    def write(self, stem: Path | str) -> tuple[Path, Path]:
        """Write `<stem>.md` and `<stem>.json`; returns both paths."""
        stem = Path(stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
        table, data = stem.with_name(stem.name + ".md"), stem.with_name(stem.name + ".json")
        table.write_text(self.markdown(), encoding="utf-8")
        data.write_text(json.dumps(self.mapping(), indent=1) + "\n", encoding="utf-8")
        return table, data


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a proportion, by default at 95 %."""
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class DirectJob:
    """Episodes of one task for one process."""

    bundle: PolicyBundle
    task: str
    seeds: tuple[int, ...]
    actuation: str
    arm: str
    bridge: Callable[[], ArmBridge] | None
    gap: RealityGap | None


def run_direct(job: DirectJob) -> list[Episode]:
    """The job's episodes, without ROS: environment and policy in one loop."""
    from legion_core.sim import make_env

    env = make_env(job.task, arm=job.arm, actuation=job.actuation, bridge=job.bridge, spec=job.bundle.spec, gap=job.gap)
    policy, embedding = LegionPolicy(job.bundle), job.bundle.embedding(job.task)
    period_s = 1 / env.metadata["render_fps"]
    episodes = []
    for seed in job.seeds:
        before = Counter(env.interventions)
        observation, info = env.reset(seed=seed)
        latencies: list[float] = []
        truncated = False
        while not (truncated or info["success"]):
            start = time.perf_counter()
            action = policy.act(observation, embedding).action
            latencies.append(1e3 * (time.perf_counter() - start))
            observation, _, _, truncated, info = env.step(action)
        steps = len(latencies)
        interventions = dict(Counter(env.interventions) - before)
        episodes.append(
            Episode(job.task, seed, info["success"], steps, steps * period_s, tuple(latencies), interventions)
        )
    env.close()
    return episodes


def evaluate_direct(
    bundle: PolicyBundle,
    *,
    tasks: Sequence[str] | None = None,
    episodes: int = 50,
    actuation: str = "mocap",
    arm: str = "iiwa7",
    bridge_factory: Callable[[], ArmBridge] | None = None,
    gap: RealityGap | None = None,
    first_seed: int | None = None,
    processes: int = 2,
    pool: Executor | None = None,
    progress: bool = True,
) -> Evaluation:
    """Run `episodes` layouts of each task (by default of all) that were never seen in training.

    Args:
        bridge_factory: picklable; makes what stands between policy and robot in servo actuation.
        gap: between simulation and robot, in servo actuation.
        first_seed: of each task's layouts; by default the first of the evaluation seeds.
        pool: runs the jobs instead of a new pool of `processes`.

    Raises:
        TaskError: a task that the policy does not know.
        SimulationError: an unknown arm or actuation, or servo without a bridge factory, or a
            gap without servo.
    """
    from legion_core.sim import EVALUATION_SEED_BASE

    require(episodes > 0, "episodes", episodes, "> 0")
    require(processes > 0, "processes", processes, "> 0")
    names = [bundle.manifest.task(name).name for name in (tasks or bundle.task_names)]
    start = EVALUATION_SEED_BASE if first_seed is None else first_seed
    jobs = [
        DirectJob(bundle, name, seeds, actuation, arm, bridge_factory, gap)
        for name in names
        for seeds in chunks(range(start, start + episodes), EPISODES_A_JOB)
    ]
    with nullcontext(pool) if pool else worker_pool(processes) as workers:
        results = run_jobs(workers, run_direct, jobs, f"evaluate {actuation}", progress)
        done = tuple(episode for batch in results for episode in batch)
    settings = {"loop": "direct", "arm": arm, "actuation": actuation, "episodes": episodes, "first seed": start}
    if gap is not None:
        settings["gap"] = asdict(gap)
    return Evaluation(settings, done)


def chunks(seeds: Iterable[int], size: int) -> list[tuple[int, ...]]:
    """`seeds` in groups of at most `size`."""
    values = tuple(seeds)
    return [values[i : i + size] for i in range(0, len(values), size)]


def _row(summary: Summary) -> str:
    low, high = summary.interval
    guard = ", ".join(f"{name} {count}" for name, count in summary.interventions.items()) or "none"
    latency = " / ".join(_shown(value, 3) for value in summary.latency_ms)
    return (
        f"| {summary.name} | {summary.success:.3f} ({summary.successes}/{summary.episodes}) | {low:.3f} to {high:.3f} "
        f"| {_shown(summary.steps, 1)} | {_shown(summary.time_s, 2)} | {guard} | {latency} |"
    )


def _shown(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def _mapping(summary: Summary) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return round(value, 4) if np.isfinite(value) else None

    median, p99 = summary.latency_ms
    low, high = summary.interval
    return {
        "name": summary.name,
        "episodes": summary.episodes,
        "successes": summary.successes,
        "success": number(summary.success),
        "interval_95": [number(low), number(high)],
        "steps": number(summary.steps),
        "time_s": number(summary.time_s),
        "latency_ms": {"p50": number(median), "p99": number(p99)},
        "interventions": summary.interventions,
    }
