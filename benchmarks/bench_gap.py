"""Success across each part of the reality gap alone and across the whole, with a plain bridge and with the profile's.

The plain bridge takes objects as they come and anticipates no lag; the other one filters and anticipates as the profile
mujoco_gap says. All take the same layouts and the same draws.
Run: python benchmarks/bench_gap.py [--policy FOLDER] [--episodes 10] [--seed 1000000] [--processes 2]
[--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from legion_core.bundle import PolicyBundle
from legion_core.evaluation import Evaluation, evaluate_direct
from legion_core.sim import EVALUATION_SEED_BASE, RealityGap
from legion_core.sim.plant import ROBOT_LAG_S
from legion_core.spaces import ObservationSpec
from legion_core.workers import worker_pool
from legion_ros.cli.common import GAP_ROBOT
from legion_sim2real.bridge import Bridge
from legion_sim2real.robot import load_profile

NOTHING = RealityGap(
    robot_lag_s=(ROBOT_LAG_S, ROBOT_LAG_S),
    friction_factor=(1.0, 1.0),
    mass_factor=(1.0, 1.0),
    camera_rate_hz=1000.0,
    camera_delay_s=0.0,
    object_noise_m=0.0,
    camera_shift_m=0.0,
    camera_turn_deg=0.0,
    world_shift_m=0.0,
    world_turn_deg=0.0,
    message_loss=0.0,
)
PARTS = {
    "nothing": (),
    "robot's lag": ("robot_lag_s",),
    "camera's rate and delay": ("camera_rate_hz", "camera_delay_s"),
    "noise": ("object_noise_m",),
    "camera's calibration": ("camera_shift_m", "camera_turn_deg"),
    "world's calibration": ("world_shift_m", "world_turn_deg"),
    "friction": ("friction_factor",),
    "masses": ("mass_factor",),
    "lost messages": ("message_loss",),
}


def gaps(whole: RealityGap) -> dict[str, RealityGap]:
    """Each part of the whole alone, and the whole."""
    parts = {name: replace(NOTHING, **{key: getattr(whole, key) for key in keys}) for name, keys in PARTS.items()}
    return {**parts, "all at once": whole}


def make_bridge(spec: ObservationSpec, plain: bool) -> Bridge:
    """The bridge of the robot behind the gap, or one without object filter and without anticipation of the lag."""
    profile = load_profile(GAP_ROBOT)
    if plain:
        profile = replace(profile, object_filter=None, sim2real=replace(profile.sim2real, robot_lag_s=0.0))
    return Bridge(profile, spec)


def row(name: str, results: dict[str, Evaluation]) -> str:
    """A line of the table: mean success and the worst task of each bridge."""
    cells = []
    for result in results.values():
        worst = min(result.tasks, key=lambda task: task.success)
        cells += [f"{result.mean_success:.3f}", f"{worst.success:.2f} ({worst.name})" if worst.success < 1 else "1.00"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=None, metavar="FOLDER", help="policy bundle (default: the packaged one)")
    parser.add_argument("--episodes", type=int, default=10, help="layouts a task (10)")
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED_BASE, help="first layout (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="simulations at once (2)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    bundle = PolicyBundle.load(options.policy)
    bridges: dict[str, Callable[[], Bridge]] = {
        name: partial(make_bridge, bundle.spec, name == "plain") for name in ("plain", "filter and lag")
    }
    print("| gap | " + " | ".join(f"{name}: mean | worst task" for name in bridges) + " |")
    print("|---" * (1 + 2 * len(bridges)) + "|", flush=True)
    figures = {}
    with worker_pool(options.processes) as pool:
        for name, gap in gaps(RealityGap.load()).items():
            results = {
                bridge: evaluate_direct(
                    bundle,
                    episodes=options.episodes,
                    actuation="servo",
                    bridge_factory=factory,
                    gap=gap,
                    first_seed=options.seed,
                    pool=pool,
                    progress=False,
                )
                for bridge, factory in bridges.items()
            }
            print(row(name, results), flush=True)
            figures[name] = {
                bridge: {task.name: task.success for task in result.tasks} for bridge, result in results.items()
            }
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
