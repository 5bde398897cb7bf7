"""Times of the robot side, one thread: python benchmarks/bench_sim2real.py [results.json]

The command cycle runs on a simulated motion (a random action for half a second each, an arm that follows with a lag),
so that every limit of the guard is met.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from legion_core.spaces import ObservationSpec
from legion_sim2real.collision import CollisionChecker, Proximity
from legion_sim2real.guard import SafetyGuard
from legion_sim2real.kinematics import damped_least_squares
from legion_sim2real.real2sim import RobotState, Scene
from legion_sim2real.robot import load_profile
from legion_sim2real.sim2real import Sim2Real

REPEATS = 5000
PERIOD_S = 0.02


def times_us(call: Callable[[], object], repeats: int = REPEATS) -> np.ndarray:
    """Times of `repeats` calls after a warm-up, microseconds."""
    for _ in range(100):
        call()
    times = np.empty(repeats)
    for i in range(repeats):
        start = perf_counter()
        call()
        times[i] = perf_counter() - start
    return times * 1e6


class FarAway(CollisionChecker):
    """A checker that computes nothing: what is left is inverse kinematics and the rest of the guard."""

    def nearest_of_each(self, q: np.ndarray) -> tuple[Proximity, None]:
        return Proximity(1.0, "", "", "self"), None


def command_times_us(robot: str, checker: type[CollisionChecker]) -> np.ndarray:
    """Times of the answers to `REPEATS` actions on a moving arm, microseconds."""
    profile = load_profile(robot)
    kinematics, limits = profile.kinematics(), profile.load_safety()
    guard = SafetyGuard(limits, kinematics, checker(kinematics, limits.obstacles))
    sim2real = Sim2Real(kinematics, profile.load_calibration(), profile.sim2real, guard)
    guard.activate()
    rng = np.random.default_rng(0)
    joints, times = np.array(profile.sim2real.posture_rad), np.empty(REPEATS)
    for i in range(REPEATS):
        if i % 25 == 0:
            action = rng.uniform(-1, 1, 4)
        now = i * PERIOD_S
        state = RobotState(now, joints, 1.0)
        start = perf_counter()
        command = sim2real.act(action, now, state, now)
        times[i] = perf_counter() - start
        joints = joints + 0.6 * (command.joint_positions - joints)
    return times[100:] * 1e6


def measure() -> dict[str, np.ndarray]:
    """Times by what was called."""
    profile = load_profile("mujoco")
    kinematics = profile.kinematics()
    real2sim = profile.make_real2sim(ObservationSpec())
    joints = np.array(profile.sim2real.posture_rad)
    jacobian, twist, pull = kinematics.jacobian(joints), np.full(6, 0.1), np.full(7, 0.01)
    state = RobotState(0.0, joints, 1.0)
    scene = Scene(np.zeros(3), None, np.ones(3))
    return {
        "forward kinematics": times_us(lambda: kinematics.forward(joints)),
        "forward kinematics and Jacobian": times_us(lambda: kinematics.forward_and_jacobian(joints)),
        "damped least squares": times_us(lambda: damped_least_squares(jacobian, twist, pull)),
        "joint state -> observation (Real2Sim.observe)": times_us(lambda: real2sim.observe(state, scene)),
        "action -> joint command, no distances (Sim2Real.act)": command_times_us("mujoco", FarAway),
        "action -> joint command, guarded (Sim2Real.act)": command_times_us("mujoco", CollisionChecker),
    }


def main() -> None:
    start = perf_counter()
    load_profile("mujoco").make_sim2real()
    built = perf_counter() - start
    results = {name: np.percentile(times, (50, 99)).round(1).tolist() for name, times in measure().items()}
    print(f"{'microseconds':54} {'median':>8} {'p99':>8}")
    for name, (median, worst) in results.items():
        print(f"{name:54} {median:8.1f} {worst:8.1f}")
    print(f"\nDescription, kinematics and guard built in {built:.2f} s")
    if len(sys.argv) > 1:
        data = {"microseconds_median_p99": results, "build_s": round(built, 3), "repeats": REPEATS}
        Path(sys.argv[1]).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
