"""The fault matrix: every fault in the running graph, in mid-motion, and what the robot then does.

Real processes, real DDS, MuJoCo in the loop, the shipped policy. Held means that the command as the robot receives it
stays; at rest, that no joint of the compliant arm moves faster than 0.05 rad/s; both in ms of the robot's time after
the fault. How far the arm moves on is measured from 100 ms after the fault until it ends. Limits are those of the
safety file, checked on every command from the beginning of the motion to success; a command after a pause must be the
measured posture. Velocity and acceleration are judged in real time, where times are exact enough. Exit code 1 where a
bar is missed.
Run: python benchmarks/fault_matrix.py [--fault NAME ...] [--repeat 3] [--speed 1.0] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from fault_graph import (
    COMMANDS,
    FROM_ROBOT,
    JOINTS,
    PROFILE,
    STREAMS,
    FaultGraph,
    bursts,
    duplicates,
    frozen_stamps,
    hanging,
    killed,
    loss,
    not_a_number,
    renamed_joints,
    reordered,
    shifted_stamps,
    silence,
    spoiled,
)
from fault_judge import violations

from legion_core.errors import DeploymentError, LegionError
from legion_ros import topics
from legion_ros.domain import own_domain
from legion_ros.realtime import prioritise
from legion_sim2real.limits import SafetyLimits

HELD_MS = 100.0
RELAY_PRIORITY = 25
"""Relays that wait for the nodes would delay them."""
TASKS = ("door-open", "window-open", "drawer-close", "push", "window-close")
FIRST_SEED = 3_000_000
SUCCESS_S = 20.0
"""So long the task may take after the fault, in the robot's time."""
DISCOVERY_S = 2.0
"""Wall time until the services of a new process are known."""
STAYS_RAD = 0.02
"""What an arm under a stop may move: it settles, and its command is once more the measured posture."""


class Recovery(str, Enum):
    """What it takes until the task goes on."""

    TOLERATED = "tolerated"
    ITSELF = "by itself"
    RESET = "reset of the stop"


@dataclass(frozen=True)
class Fault:
    """`inject` begins the fault when it is entered and ends it on leaving, `lasts_s` (robot's time) later."""

    name: str
    inject: Callable[[FaultGraph], AbstractContextManager[None]]
    recovery: Recovery = Recovery.ITSELF
    lasts_s: float = 1.0
    simulated_time_only: bool = False


@dataclass(frozen=True)
class Result:
    """One fault in one motion."""

    fault: str
    task: str
    seed: int
    held_ms: float
    rest_ms: float
    moved_on_deg: float
    violations: tuple[str, ...]
    stayed: bool
    success: bool
    recovery: Recovery

    def held_within(self, limit_ms: float) -> bool:
        """Whether the arm was held so soon where the fault must hold it, broke no limit and did as it should then."""
        held = self.recovery is Recovery.TOLERATED or self.held_ms <= limit_ms
        return held and self.stayed and self.success and not self.violations

    @property
    def passed(self) -> bool:
        """Whether every bar is reached."""
        return self.held_within(HELD_MS)


# --------------------------------------------------------------------------------------------------- the faults


@contextmanager
def e_stop(graph: FaultGraph) -> Iterator[None]:
    """Somebody presses the button."""
    graph.engage_e_stop()
    yield


@contextmanager
def e_stop_then_death(graph: FaultGraph) -> Iterator[None]:
    """The stop outlives those who obey it."""
    graph.engage_e_stop()
    graph.pass_time(0.5)
    with killed(graph, "policy_node", "sim2real_node"):
        yield


@contextmanager
def driver_restart(graph: FaultGraph) -> Iterator[None]:
    """Nothing comes from the robot for 2 s, and then it stands elsewhere."""
    with spoiled(graph, (*FROM_ROBOT, "/clock"), silence):
        yield
        graph.client.reset_simulator()
        graph.pass_time(1.2)


@contextmanager
def driver_crash(graph: FaultGraph) -> Iterator[None]:
    """The process of the robot dies, and is brought up again with the arm at home, in the same scene."""
    values = graph.client.status["mujoco_node"].values
    task, seed = values["task"], int(values["seed"])
    with killed(graph, "mujoco_node"):
        yield
    graph.client.spin(DISCOVERY_S)
    try:
        graph.client.reset_simulator(task=task, seed=seed)
    except DeploymentError:  # the request went to the process that had died
        graph.client.reset_simulator(task=task, seed=seed)


def faults(seed: int) -> tuple[Fault, ...]:
    """All of them; `seed` of the random losses."""
    everything = [topic for streams in STREAMS.values() for topic in streams if topic != "/clock"]
    poses = (topics.OBJECT, topics.GOAL)

    def on(names: Sequence[str], make: Callable[[], Callable]) -> Callable[[FaultGraph], AbstractContextManager[None]]:
        return lambda graph: spoiled(graph, names, make)

    def dies(*nodes: str) -> Callable[[FaultGraph], AbstractContextManager[None]]:
        return lambda graph: killed(graph, *nodes)

    def hangs(node: str) -> Callable[[FaultGraph], AbstractContextManager[None]]:
        return lambda graph: hanging(graph, node)

    tolerated, reset = Recovery.TOLERATED, Recovery.RESET
    return (
        *(
            Fault(f"kill -9 {node}", dies(node), tolerated)
            for node in ("language_node", "monitor_node", "watchdog_node")
        ),
        *(Fault(f"kill -9 {node}", dies(node)) for node in ("real2sim_node", "policy_node")),
        Fault("kill -9 sim2real_node", dies("sim2real_node"), reset),
        Fault("kill -9 policy_node and sim2real_node", dies("policy_node", "sim2real_node"), reset),
        Fault("kill -9 mujoco_node (the driver)", driver_crash),
        *(Fault(f"{node} hangs", hangs(node)) for node in ("real2sim_node", "policy_node", "mujoco_node")),
        Fault("sim2real_node hangs", hangs("sim2real_node"), reset),
        *(Fault(f"silence: {name}", on([name], silence)) for name in (*FROM_ROBOT, topics.OBSERVATION, topics.ACTION)),
        Fault(f"silence: {COMMANDS}", on([COMMANDS], silence), reset),
        *(Fault(f"NaN: {name}", on([name], not_a_number)) for name in (*FROM_ROBOT, topics.OBSERVATION, topics.ACTION)),
        *(
            Fault(f"frozen stamps: {name}", on([name], frozen_stamps))
            for name in (JOINTS, topics.OBJECT, topics.ACTION)
        ),
        Fault("frozen stamps: everything", on((*FROM_ROBOT, topics.OBSERVATION, topics.ACTION), frozen_stamps)),
        *(
            Fault(f"stamps leap by {s:+g} s: {what}", on(names, partial(shifted_stamps, s)))
            for s in (5.0, -5.0)
            for what, names in (("joint states", (JOINTS,)), ("camera", poses), ("robot and camera", FROM_ROBOT))
        ),
        *(
            Fault(
                f"clock leaps by {s:+g} s", on(["/clock"], partial(shifted_stamps, s)), reset, simulated_time_only=True
            )
            for s in (5.0, -5.0)
        ),
        *(
            Fault(
                f"clock and stamps leap by {s:+g} s",
                on(("/clock", *FROM_ROBOT), partial(shifted_stamps, s)),
                tolerated,
                simulated_time_only=True,
            )
            for s in (5.0, -5.0)
        ),
        Fault("reordered: everything", on(everything, reordered), tolerated, 3.0),
        Fault("duplicates: everything", on(everything, partial(duplicates, 0.03)), tolerated, 3.0),
        Fault("10 % loss: everything", on(everything, partial(loss, random.Random(seed), 0.1)), tolerated, 3.0),
        *(
            Fault(f"bursts of 100 ms delay: {what}", on(names, partial(bursts, 0.1, 0.6)), tolerated, 3.0)
            for what, names in (
                ("robot and camera", FROM_ROBOT),
                ("actions", (topics.ACTION,)),
                ("everything", everything),
            )
        ),
        Fault("joints are renamed", on([JOINTS], renamed_joints)),
        Fault("e-stop in mid-motion", e_stop, reset),
        Fault("e-stop, then policy and sim2real die", e_stop_then_death, reset),
        Fault("driver restart in another posture", driver_restart),
    )


# ---------------------------------------------------------------------------------------------------- the runs


def run(
    graph: FaultGraph, fault: Fault, task: str, seed: int, limits: SafetyLimits, success_s: float = SUCCESS_S
) -> Result:
    """One fault in mid-motion, the way back and the end of the task."""
    recorder = graph.recorder
    graph.begin(task, seed)
    since_s = recorder.now_s()
    with fault.inject(graph):
        graph.pass_time(fault.lasts_s)
        held_s, rest_s = recorder.held_after_s(since_s), recorder.rests_after_s(since_s)
        moved_on = math.degrees(recorder.travel(since_s + 1e-3 * HELD_MS))
    stayed = True
    if fault.recovery is Recovery.RESET:
        calm_s = recorder.now_s()
        graph.wait(lambda: False, 1.0)
        stayed = recorder.travel(calm_s) < STAYS_RAD
        graph.client.e_stop(False)
    success = graph.wait(graph.success, success_s)
    broken = violations(recorder, limits)
    times = 1e3 * held_s, 1e3 * rest_s
    return Result(fault.name, task, seed, *times, moved_on, broken, stayed, success, fault.recovery)


# ------------------------------------------------------------------------------------------------------ the table


HEAD = ("fault", "held after (ms)", "at rest after (ms)", "moves on (deg)", "violations", "goes on", "success", "")


def table(results: Sequence[Result]) -> str:
    """The worst of each fault's runs, as Markdown."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for name in dict.fromkeys(result.fault for result in results):
        runs = [result for result in results if result.fault == name]
        stops = runs[0].recovery is not Recovery.TOLERATED
        lines.append(
            (
                name,
                _worst([run.held_ms for run in runs], ".0f") if stops else "-",
                _worst([run.rest_ms for run in runs], ".0f") if stops else "-",
                _worst([run.moved_on_deg for run in runs], ".1f") if stops else "-",
                str(sum(len(run.violations) for run in runs)),
                runs[0].recovery.value if all(run.stayed for run in runs) else "**before the reset**",
                f"{sum(run.success for run in runs)}/{len(runs)}",
                "yes" if all(run.passed for run in runs) else "**no**",
            )
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _worst(values: Sequence[float], form: str) -> str:
    known = [value for value in values if not math.isnan(value)]
    return format(max(known), form) if known else "-"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", nargs="*", default=[], help="only those whose name contains this (default: all)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each fault, in different tasks")
    parser.add_argument("--seed", type=int, default=0, help="of layouts and losses")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds a second; 1: real time")
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--output", type=Path, help="write every run as JSON")
    options = parser.parse_args()
    wanted = [f for f in faults(options.seed) if not options.fault or any(text in f.name for text in options.fault)]
    wanted = [f for f in wanted if options.speed != 1.0 or not f.simulated_time_only]
    limits, results = PROFILE.load_safety(), []
    try:
        with own_domain(), FaultGraph(options.policy, options.speed) as graph:
            prioritise(RELAY_PRIORITY)
            for repetition in range(options.repeat):
                for number, fault in enumerate(wanted):
                    task = TASKS[(repetition + number) % len(TASKS)]
                    seed = FIRST_SEED + 1000 * options.seed + repetition
                    try:
                        results.append(run(graph, fault, task, seed, limits))
                    except DeploymentError as error:
                        results.append(_failed(fault, task, seed, str(error)))
                    print(_line(results[-1]), file=sys.stderr, flush=True)
    except LegionError as error:
        print(f"fault_matrix: {error}", file=sys.stderr)
        return 1
    print(table(results))
    if options.output:
        runs = [dataclasses.asdict(result) | {"passed": result.passed} for result in results]
        options.output.write_text(json.dumps({"speed": options.speed, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(result.passed for result in results) else 1


def _failed(fault: Fault, task: str, seed: int, why: str) -> Result:
    return Result(fault.name, task, seed, math.inf, math.nan, math.nan, (why,), True, False, fault.recovery)


def _line(result: Result) -> str:
    words = (
        f"held {result.held_ms:.0f} ms, rest {result.rest_ms:.0f} ms, success {result.success}, stayed {result.stayed}"
    )
    more = f"; {len(result.violations)} violations: {'; '.join(result.violations[:3])}" if result.violations else ""
    return f"{'ok  ' if result.passed else 'MISS'} {result.fault} ({result.task}): {words}{more}"


if __name__ == "__main__":
    sys.exit(main())
