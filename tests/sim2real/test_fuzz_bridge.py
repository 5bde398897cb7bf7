"""The fuzzing of the bridge: a short run finds nothing, and a guard with a defect is found."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import fuzz_bridge
import numpy as np
import pytest
from fuzz_checks import CommandChecks, Record

from legion_sim2real.guard import SafetyGuard
from legion_sim2real.motion import JointMotion
from legion_sim2real.proximity import ProximityWatch
from legion_sim2real.robot import load_profile

BENCHMARKS = Path(fuzz_bridge.__file__).parent
SEED, EPISODES, TICKS = 7, 150, 300
make_motion = JointMotion.__init__


def faults(seed=SEED, episodes=EPISODES):
    """The first failure of some episodes, None without one."""
    for episode in range(episodes):
        result = fuzz_bridge.run_episode(seed, episode, TICKS)
        if result.failures:
            return result.failures[0]
    return None


def test_a_short_run_finds_nothing(tmp_path):
    results = tmp_path / "fuzz.json"
    command = [sys.executable, str(BENCHMARKS / "fuzz_bridge.py"), str(results), "--ticks", "20000", "--seed", "11"]
    done = subprocess.run([*command, "--processes", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(results.read_text())
    assert data["ticks"] >= 20_000
    assert data["violations"] == []
    assert data["malformed_configurations"] >= 1000
    assert {"slow", "hold", "stop", "clear"} == set(data["levels"])
    assert {"obstacle", "self_collision", "workspace", "joint_position", "tracking_error"} <= set(data["interventions"])
    assert data["most_used_share_of_limit"]["joint jerk"] > 0.99


@pytest.mark.parametrize(
    ("owner", "name", "defect", "limit"),
    [
        (ProximityWatch, "objection", lambda self, motion, rest, now_s: None, "self-collision|obstacles"),
        (JointMotion, "__init__", lambda self, a, j: make_motion(self, a, 1.05 * j), "joint jerk"),
        (JointMotion, "__init__", lambda self, a, j: make_motion(self, 1.05 * a, j), "joint acceleration"),
        (SafetyGuard, "_share", lambda self, twist: 0.0, "Cartesian speed|turning speed"),
        (SafetyGuard, "_excess", lambda self, joints: -1.0, "workspace and table"),
        (SafetyGuard, "check_release", lambda self, *stamps: True, "stop"),
        (
            JointMotion,
            "brake",
            lambda self, motion, period: self.towards(motion.velocity, motion, period),
            "joint position|Cartesian speed",
        ),
        (SafetyGuard, "check_state", lambda self, state, now_s: True, "finite|exception|joint position|start|rest"),
    ],
)
def test_a_guard_with_a_defect_is_found(monkeypatch, owner, name, defect, limit):
    monkeypatch.setattr(owner, name, defect)
    failure = faults()
    assert failure is not None
    assert failure.limit in limit.split("|"), failure.detail


@pytest.mark.parametrize("stopped", [True, False])
def test_an_arm_that_goes_on_after_a_stop_is_found(stopped):
    profile = load_profile("lbr")
    checks, home = CommandChecks(profile, profile.load_safety(), Record()), np.array(profile.sim2real.posture_rad)
    found = None
    for step in range(60):
        moved = home + np.eye(7)[0] * (0.01 * step) ** 3 / 6.0
        found = found or checks.check(moved, False, stopped, home, 1_000_000 + 10_000 * step)
    assert (found is not None and found.limit == "rest") == stopped


def test_a_failure_is_cut_down_and_repeated_by_its_script(monkeypatch):
    monkeypatch.setattr(SafetyGuard, "check_release", lambda self, *stamps: True)
    failure = faults()
    shrunk = fuzz_bridge.shrink(failure)
    assert len(shrunk.events) < len(failure.events)
    found = fuzz_bridge.replay(shrunk.setup, shrunk.events)
    assert found is not None
    assert found[1].limit == failure.limit
    printed = subprocess.run(
        [sys.executable, "-c", fuzz_bridge.script(shrunk)], capture_output=True, text=True, cwd=BENCHMARKS.parent
    )
    assert printed.stdout == "None\n", printed.stderr  # the guard of that process is sound


def test_an_episode_is_the_same_each_time():
    first, second = (fuzz_bridge.run_episode(3, 4, 200) for _ in range(2))
    assert dataclasses.asdict(first) == dataclasses.asdict(second)
