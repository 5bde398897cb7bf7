"""One policy on both arms: what it has learned on the one, measured on the other, on the same layouts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legion_core.bundle import PolicyBundle
from legion_core.errors import RunError
from legion_core.evaluation import evaluate_direct, wilson_interval
from legion_core.learning.metrics import Count, known_mean
from legion_core.workers import worker_pool

FILE = "cross_embodiment.json"
"""Where a run's folder holds it."""
ARMS = ("iiwa7", "sawyer")
FIRST_ARM = "iiwa7"
"""On which a policy was trained that does not say."""


@dataclass(frozen=True)
class CrossEmbodiment:
    """Successes by arm and task; mocap actuation, which both arms have."""

    trained_on: str
    arms: dict[str, dict[str, Count]]

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks that were measured on any arm."""
        return tuple(dict.fromkeys(task for counts in self.arms.values() for task in counts))

    def mean(self, arm: str) -> float:
        """Mean success over the tasks on one arm."""
        return known_mean([count.success for count in self.arms[arm].values()])

    def title(self, arm: str) -> str:
        """`sawyer (trained on)`, `iiwa7`."""
        return f"{arm} (trained on)" if arm == self.trained_on else arm

    def markdown(self) -> str:
        """A table with a row a task and a column an arm."""
        rows = [
            ["task", *map(self.title, self.arms)],
            ["---"] * (1 + len(self.arms)),
            *([task, *(_shown(counts.get(task)) for counts in self.arms.values())] for task in self.tasks),
            ["mean", *(f"{self.mean(arm):.3f}" for arm in self.arms)],
        ]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def write(self, file: Path | str) -> None:
        """Write it as JSON.

        Raises:
            RunError: the file cannot be written.
        """
        arms = {arm: {task: count._asdict() for task, count in counts.items()} for arm, counts in self.arms.items()}
        try:
            Path(file).write_text(json.dumps({"trained_on": self.trained_on, "arms": arms}, indent=1) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {file}: {error.strerror}") from error

    @classmethod
    def read(cls, file: Path | str) -> CrossEmbodiment:
        """What `write` has written.

        Raises:
            RunError: the file cannot be read, or holds something else.
        """
        try:
            data: dict[str, Any] = json.loads(Path(file).read_text())
            arms = {
                arm: {task: Count(**count) for task, count in counts.items()} for arm, counts in data["arms"].items()
            }
            return cls(data["trained_on"], arms)
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{file}: not a table of successes by arm and task ({error})") from error


def evaluate_arms(
    bundle: PolicyBundle,
    *,
    tasks: Sequence[str] | None = None,
    episodes: int = 50,
    first_seed: int | None = None,
    processes: int = 2,
    pool: Executor | None = None,
    progress: bool = True,
) -> CrossEmbodiment:
    """Run the same layouts on each arm; arguments as those of `legion_core.evaluation.evaluate_direct`.

    Raises:
        TaskError: a task that the policy does not know.
    """
    arms = {}
    with nullcontext(pool) if pool else worker_pool(processes) as workers:
        for arm in ARMS:
            evaluation = evaluate_direct(
                bundle,
                tasks=tasks,
                episodes=episodes,
                arm=arm,
                first_seed=first_seed,
                pool=workers,
                progress=progress,
            )
            arms[arm] = {summary.name: Count(summary.successes, summary.episodes) for summary in evaluation.tasks}
    return CrossEmbodiment(trained_on(bundle), arms)


def trained_on(bundle: PolicyBundle) -> str:
    """The arm on which a policy was trained, as its manifest says."""
    return str(bundle.manifest.training.get("settings", {}).get("arm", FIRST_ARM))


def _shown(count: Count | None) -> str:
    if count is None or not count.episodes:
        return "-"
    low, high = wilson_interval(*count)
    return f"{count.success:.3f} ({low:.3f} to {high:.3f})"
