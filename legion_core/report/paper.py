"""What the LEGION paper's authors published of their runs, to be shown beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from legion_core.learning.curriculum import ORDERS
from legion_core.tasks import task_names


@dataclass(frozen=True)
class Published:
    """Final mean success of the published runs, with its standard deviation over `runs` where there are several."""

    success: float
    deviation: float | None = None
    runs: int | None = None


SOURCE = (
    "Meng et al., Nature Machine Intelligence 2025, from the authors' published data: reinforcement learning without "
    "demonstrations on a Sawyer, one frozen layout a task for training and evaluation, 69 to 228 h a run on a GPU"
)
MULTITASK = Published(0.944)
LIFELONG = {
    "curriculum": Published(0.821, 0.052, 7),
    "random": Published(0.712, 0.117),
    "reverse": Published(0.572, 0.171),
}
FEW_SHOT_STEPS: dict[str, tuple[float, float]] = {
    "reach": (240_000, 82_000),
    "push": (inf, 390_000),
    "faucet-open": (712_000, 172_000),
    "button-press-topdown": (307_000, 142_000),
    "window-close": (300_000, 105_000),
}
"""Environment steps to a success of 0.8 at the first and the third meeting; infinite: never."""


def published(mode: str, order: str, tasks: tuple[str, ...]) -> Published | None:
    """The paper's figure for that kind of run; only of its own ten tasks."""
    if set(tasks) != set(task_names()):
        return None
    if mode == "multitask":
        return MULTITASK
    return LIFELONG.get(order) if mode == "lifelong" and order in ORDERS else None
