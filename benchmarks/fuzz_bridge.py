"""Adversarial fuzzing of Sim2Real and its guard: python benchmarks/fuzz_bridge.py [results.json] --ticks 1000000

Each episode draws a robot, safety limits, a calibration and a configuration at random inside what validation admits,
and then sends observations, actions, joint states, time stamps, stops and resets, some of them malformed, to Sim2Real.
Every command is checked by `fuzz_checks`, which shares no code with the guard. Malformed configurations must be refused
with a LegionError and nothing else.

An episode follows from the seed and its number. A failure is cut down to few events and printed as a script; the exit
code is 1 then.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import yaml
from fuzz_checks import CommandChecks, Record, Violation
from fuzz_draws import Event, Setup, draw_malformed, draw_setup, events, garbled

from legion_core.config import from_mapping, load
from legion_core.errors import LegionError
from legion_core.spaces import ObservationSpec
from legion_sim2real.calibration import Calibration
from legion_sim2real.collision import CollisionChecker
from legion_sim2real.guard import SafetyGuard
from legion_sim2real.interventions import Intervention, Level
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.real2sim import Real2Sim, RobotState
from legion_sim2real.robot import RobotProfile, load_profile
from legion_sim2real.sim2real import Command, Sim2Real, Sim2RealConfig, Status

EPISODE_TICKS = 500
MAPPINGS, FILES = 20, 5
"""Malformed configurations an episode."""
SHRINKING_RUNS = 300


@dataclass(frozen=True)
class Failure:
    """What went wrong, in which episode and after which of its events."""

    limit: str
    detail: str
    seed: int
    episode: int
    setup: Setup
    events: tuple[Event, ...]


@dataclass
class Result:
    """What came of some episodes."""

    ticks: int = 0
    commands: int = 0
    malformed: int = 0
    interventions: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    record: Record = field(default_factory=Record)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Count those in."""
        self.ticks, self.commands = self.ticks + other.ticks, self.commands + other.commands
        self.malformed += other.malformed
        self.interventions += other.interventions
        self.levels += other.levels
        self.failures += other.failures
        for limit, share in other.record.shares.items():
            self.record.put(limit, share)


@cache
def profile_of(robot: str) -> RobotProfile:
    return load_profile(robot)


@cache
def kinematics_of(robot: str) -> Any:
    return profile_of(robot).kinematics()


class Bridge:
    """Sim2Real of a setup, and what follows its commands."""

    def __init__(self, setup: Setup, result: Result) -> None:
        profile, kinematics = profile_of(setup.robot), kinematics_of(setup.robot)
        limits = from_mapping(SafetyLimits, setup.limits)
        calibration = Calibration(np.array(setup.rotation), np.array(setup.translation), setup.scale)
        guard = SafetyGuard(limits, kinematics, CollisionChecker(kinematics, limits.obstacles))
        self.sim2real = Sim2Real(kinematics, calibration, from_mapping(Sim2RealConfig, setup.sim2real), guard)
        self.real2sim = Real2Sim(kinematics, calibration, ObservationSpec())
        self._checks = CommandChecks(profile, limits, result.record)
        self._result = result
        self.stopped, self.active = False, False

    def obey(self, event: Event) -> tuple[Command | None, Violation | None]:
        """What comes of an event; an exception is a violation."""
        try:
            command = self._command(event)
        except Exception:
            return None, Violation("exception", traceback.format_exc(limit=-4))
        if command is None:
            return None, None
        self._result.commands += command.joint_positions is not None
        self._result.levels[command.level.value] += 1
        self._result.interventions.update(note.value for note in command.interventions)
        return command, self._check(command, event)

    def _command(self, event: Event) -> Command | None:
        guard, sim2real = self.sim2real.guard, self.sim2real
        if event.kind == "e_stop":
            guard.e_stop()
            self.stopped = True
        elif event.kind == "clear":
            guard.clear_e_stop()
            self.stopped = False
        elif event.kind == "activate":
            guard.activate()
            self.active = True
        elif event.kind == "deactivate":
            guard.deactivate()
            self.active = False
        elif event.kind == "reset":
            sim2real.reset()
        elif event.kind == "observe":
            with np.errstate(all="ignore"):
                self.real2sim.observe(self._state(event), event.scene)
        else:
            state, now = self._state(event), event.now_us * 1e-6
            if event.kind == "tick":
                return sim2real.tick(state, now)
            if event.kind == "hold":
                return sim2real.hold(state, now)
            return sim2real.act(event.action, event.action_stamp, state, now, event.object_stamp)
        return None

    def _state(self, event: Event) -> RobotState:
        return RobotState(event.state_stamp, event.joints, event.opening)

    def _check(self, command: Command, event: Event) -> Violation | None:
        moving, stopped = command.status is Status.MOVING, self.stopped or not self.active
        if moving and stopped:
            return Violation("stop", f"{command.status} while stopped={self.stopped}, active={self.active}")
        if moving and event.kind == "act" and not _usable(event.action):
            return Violation("action", f"{command.status} after {event.action!r}")
        if not isinstance(command.level, Level) or not all(isinstance(n, Intervention) for n in command.interventions):
            return Violation("report", f"{command.level!r} {command.interventions!r}")
        if command.gripper is not None and not -1.0 <= command.gripper <= 1.0:
            return Violation("gripper", f"{command.gripper}")
        pose = command.target_pose
        if pose is not None and not (np.isfinite(pose.position).all() and np.isfinite(pose.rotation).all()):
            return Violation("finite", f"target {pose}")
        return self._checks.check(command.joint_positions, not moving, stopped, event.joints, event.now_us)


def _usable(action: Any) -> bool:
    try:
        values = np.asarray(action, float)
    except (TypeError, ValueError):
        return False
    return values.shape == (4,) and bool(np.isfinite(values).all())


def replay(setup: Setup, sequence: Sequence[Event]) -> tuple[int, Violation] | None:
    """The first violation and the index of its event, None where there is none."""
    bridge = Bridge(setup, Result())
    for i, event in enumerate(sequence):
        _, violation = bridge.obey(event)
        if violation is not None:
            return i, violation
    return None


def run_episode(seed: int, episode: int, ticks: int) -> Result:
    """One episode of that many ticks, which ends with its first violation."""
    rng = np.random.default_rng((seed, episode))
    result = Result()
    setup = draw_setup(rng, profile_of, kinematics_of)
    bridge, done = Bridge(setup, result), []
    source = events(rng, setup, kinematics_of(setup.robot))
    event = next(source)
    while result.ticks < ticks:
        done.append(event)
        command, violation = bridge.obey(event)
        result.ticks += event.kind in ("act", "tick", "hold")
        if violation is not None:
            result.failures.append(Failure(*violation, seed, episode, setup, tuple(done)))
            break
        event = source.send(None if command is None else command.joint_positions)
    _malformed(rng, seed, episode, setup, result)
    return result


def _malformed(rng: np.random.Generator, seed: int, episode: int, setup: Setup, result: Result) -> None:
    """Whether malformed configurations are refused in the way they must be: as mappings, and as texts of files."""
    text = yaml.safe_dump(setup.limits)
    calls = [partial(from_mapping, *draw_malformed(rng, setup)) for _ in range(MAPPINGS)]
    with tempfile.TemporaryDirectory() as folder:
        for i in range(FILES):
            path = Path(folder) / f"{i}.yaml"
            path.write_text(garbled(rng, text), encoding="utf-8")
            calls.append(partial(load, SafetyLimits, path))
        for call in calls:
            result.malformed += 1
            try:
                call()
            except LegionError:
                continue
            except Exception:
                detail = f"{call}\n{traceback.format_exc(limit=-3)}"
                result.failures.append(Failure("configuration", detail, seed, episode, setup, ()))


def run_chunk(job: tuple[int, range, int]) -> Result:
    """Some episodes."""
    seed, episodes, ticks = job
    total = Result()
    for episode in episodes:
        total.add(run_episode(seed, episode, ticks))
    return total


def shrink(failure: Failure) -> Failure:
    """The same kind of failure by as few events as some hundred tries find."""
    sequence, size, tries = list(failure.events), max(len(failure.events) // 2, 1), 0
    while size and tries < SHRINKING_RUNS:
        start = 0
        while start < len(sequence) and tries < SHRINKING_RUNS:
            shorter = sequence[:start] + sequence[start + size :]
            found, tries = replay(failure.setup, shorter), tries + 1
            if found is not None and found[1].limit == failure.limit:
                sequence = shorter[: found[0] + 1]
            else:
                start += size
        size //= 2
    found = replay(failure.setup, sequence)
    detail = failure.detail if found is None else found[1].detail
    return dataclasses.replace(failure, detail=detail, events=tuple(sequence))


def script(failure: Failure) -> str:
    """A Python script that repeats the failure."""
    lines = ["import sys", 'sys.path.insert(0, "benchmarks")']
    lines += ["from numpy import array, float32, inf, nan", "from fuzz_bridge import Event, Setup, replay"]
    lines += [f"setup = {failure.setup!r}", "sequence = [", *(f"    {short(event)}," for event in failure.events), "]"]
    return "\n".join([*lines, "print(replay(setup, sequence))"])


def short(event: Event) -> str:
    """Its constructor call without what is as by default."""
    defaults = {f.name: f.default for f in dataclasses.fields(Event)}
    given = {name: value for name, value in vars(event).items() if value is not defaults[name]}
    return f"Event({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def report(result: Result, seconds: float) -> None:
    """The table."""
    print(f"{'ticks':34} {result.ticks:>12,}")
    print(f"{'commands checked':34} {result.commands:>12,}")
    print(f"{'malformed configurations':34} {result.malformed:>12,}")
    print(f"{'violations and exceptions':34} {len(result.failures):>12,}")
    print(f"{'seconds':34} {seconds:>12.1f}\n")
    print(f"{'limit':34} {'most used':>12}")
    for limit, share in sorted(result.record.shares.items()):
        print(f"{limit:34} {share:>12.4f}")
    print(f"\n{'level or intervention':34} {'commands':>12}")
    for name, count in [*result.levels.most_common(), *result.interventions.most_common()]:
        print(f"{name:34} {count:>12,}")


def run(ticks: int, seed: int, processes: int, episode_ticks: int = EPISODE_TICKS) -> Result:
    """As many ticks, in episodes, spread over processes."""
    total, first = Result(), 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        while total.ticks < ticks and len(total.failures) < 20:
            count = max((ticks - total.ticks + episode_ticks - 1) // episode_ticks, 1)
            size = max(min(count // (4 * processes), 50), 1)
            jobs = [
                (seed, range(start, min(start + size, first + count)), episode_ticks)
                for start in range(first, first + count, size)
            ]
            for chunk in pool.imap(run_chunk, jobs):
                total.add(chunk)
                if len(total.failures) >= 20:
                    break
            first += count
    return total


def main() -> int:
    """0 where nothing was violated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", help="JSON file for the figures")
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--episode", type=int, help="only this episode, in this process")
    options = parser.parse_args()
    start = time.perf_counter()
    if options.episode is None:
        result = run(options.ticks, options.seed, options.processes)
    else:
        result = run_episode(options.seed, options.episode, EPISODE_TICKS)
    report(result, time.perf_counter() - start)
    for limit, count in Counter(failure.limit for failure in result.failures).items():
        first = next(failure for failure in result.failures if failure.limit == limit)
        print(f"\n{count} x {limit}, first in --seed {first.seed} --episode {first.episode}: {first.detail}")
        if first.events:
            shrunk = shrink(first)
            print(f"repeated by {len(shrunk.events)} events ({shrunk.detail}):\n\n{script(shrunk)}\n")
    if options.results:
        data = {
            "ticks": result.ticks,
            "commands": result.commands,
            "malformed_configurations": result.malformed,
            "seed": options.seed,
            "violations": [[f.limit, f.episode, f.detail] for f in result.failures],
            "most_used_share_of_limit": {k: round(v, 6) for k, v in sorted(result.record.shares.items())},
            "levels": dict(result.levels),
            "interventions": dict(result.interventions),
        }
        Path(options.results).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
