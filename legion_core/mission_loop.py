"""A whole mission in one loop, without ROS: composite scene, bridge, policy and mission logic."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from legion_core.mission import Mission
from legion_core.mission_run import UNDER_WAY, MissionRun, MissionState, StepProgress
from legion_core.policy import LegionPolicy
from legion_core.sim.plant import RobotPlant
from legion_core.sim.servo import ArmBridge

MAX_STEPS = 20_000
"""More than any mission of ten steps with all its attempts takes."""


@dataclass(frozen=True)
class MissionOutcome:
    """How a mission went in the layout of `seed`, in `periods` control periods.

    `false` are the tasks that were said to be done before the simulator's own rule had held; `kept` are those whose
    rule holds at the end, where a button has sprung back. `touched` are the objects (bodies) that the robot touched
    while no task was set, but for that of the task before, which it leaves.
    """

    seed: int
    succeeded: bool
    periods: int
    steps: tuple[StepProgress, ...]
    false: tuple[str, ...]
    kept: tuple[str, ...]
    touched: tuple[str, ...]


def run_mission(
    mission: Mission, plant: RobotPlant, bridge: ArmBridge, policy: LegionPolicy, seed: int
) -> MissionOutcome:
    """Run `mission` once in the composite scene of `plant`.

    Raises:
        TaskError: the scene has not all its tasks.
        SimulationError: no layout, or the physics has diverged.
    """
    for step in mission.steps:
        plant.check(step.task)
    asked: deque[str] = deque()
    run = MissionRun(asked.append)
    state = plant.reset(seed=seed)
    bridge.reset(state)
    observation, task, held = bridge.observe(state), "", False
    false: list[str] = []
    touched: set[str] = set()
    run.begin(mission)
    periods = 0
    while run.state in UNDER_WAY and periods < MAX_STEPS:
        while asked:
            task, held = asked.popleft(), False
            if task:
                observation = bridge.observe(plant.switch(task))
            run.hear_task(task)
        told = run.success
        action = run.observe(observation, state.time_s)
        if run.success and not (told or held):
            false.append(task)
        if asked or run.state not in UNDER_WAY or (action is None and not task):
            continue  # the same observation is looked at again
        if action is None:
            action = policy.act(observation, policy.bundle.embedding(task)).action
        state = plant.step(*bridge.act(action.astype(float), state))
        if not task and plant.shared:
            touched |= plant.shared.touched(besides=plant.task)
        observation = bridge.observe(state)
        held = held or (bool(task) and plant.success)
        periods += 1
    succeeded = run.state is MissionState.SUCCEEDED
    kept = _kept(mission, plant)
    return MissionOutcome(seed, succeeded, periods, tuple(run.steps), tuple(false), kept, tuple(sorted(touched)))


def _kept(mission: Mission, plant: RobotPlant) -> tuple[str, ...]:
    """The tasks whose rule holds now, each judged a period later than the one before."""

    def holds(task: str) -> bool:
        plant.step(plant.switch(task).joint_positions, -1.0)
        return plant.success

    return tuple(step.task for step in mission.steps if holds(step.task))
