"""LEGION's ten tasks and Meta-World's fifty on the iiwa, built at run time from the installed Meta-World."""

from __future__ import annotations

from collections.abc import Callable

from legion_core.errors import SimulationError
from legion_core.sim.env import MocapEnv, TaskEnv
from legion_core.sim.placement import BASE_POSITION_M, BASE_YAW_RAD
from legion_core.sim.plant import PlantState, RobotPlant
from legion_core.sim.reality_gap import RealityGap
from legion_core.sim.scene import ACTUATIONS, ARMS, check_choice
from legion_core.sim.servo import ArmBridge, ServoEnv
from legion_core.spaces import ObservationSpec
from legion_core.tasks import EPISODE_STEPS as MAX_STEPS

EVALUATION_SEED_BASE = 1_000_000
"""Seeds from here on are for evaluation only; training draws its layouts from smaller ones."""

_DEFAULT_SPEC = ObservationSpec()

__all__ = [
    "ACTUATIONS",
    "ARMS",
    "BASE_POSITION_M",
    "BASE_YAW_RAD",
    "EVALUATION_SEED_BASE",
    "MAX_STEPS",
    "ArmBridge",
    "PlantState",
    "RealityGap",
    "RobotPlant",
    "TaskEnv",
    "check_actuation",
    "make_env",
]


def make_env(
    task: str,
    *,
    arm: str = "iiwa7",
    actuation: str = "mocap",
    bridge: Callable[[], ArmBridge] | None = None,
    spec: ObservationSpec = _DEFAULT_SPEC,
    max_steps: int | None = None,
    render_mode: str | None = None,
    gap: RealityGap | None = None,
) -> TaskEnv:
    """One of the tasks as a Gymnasium environment; servo actuation needs a bridge factory, and may have a reality gap.

    Mocap actuation has all fifty tasks, servo actuation LEGION's ten. An episode lasts `max_steps`, by default the
    task's own.

    Raises:
        TaskError: an unknown task.
        SimulationError: an unknown arm or actuation, a pair that does not exist, servo without bridge, or a reality
            gap without servo.
    """
    check_actuation(arm, actuation, bridge)
    if actuation == "mocap" and gap is not None:
        raise SimulationError("a reality gap needs servo actuation")
    if bridge is None or actuation == "mocap":
        return MocapEnv(task, arm, spec, max_steps, render_mode)
    return ServoEnv(task, bridge, spec, max_steps, render_mode, gap)


def check_actuation(arm: str, actuation: str, bridge: Callable[[], ArmBridge] | None) -> None:
    """Whether that arm exists, can be moved that way, and has the bridge that it takes.

    Raises:
        SimulationError: an unknown arm or actuation, a pair that does not exist, or servo without bridge.
    """
    check_choice(arm, actuation)
    if actuation == "servo" and bridge is None:
        raise SimulationError("servo actuation needs a bridge factory, such as legion_sim2real.bridge.BridgeFactory()")
