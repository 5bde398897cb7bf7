"""Steps a second of every task: unmodified Meta-World, this project's Sawyer and iiwa, the servo plant; the experts.

All four take the same actions in the same run, in turns, so that a busy machine slows them alike; the figure is the
median over the turns. The servo plant steps 8 x 2.5 ms, the others 5 x 2.5 ms.
With --experts N the success of the scripted experts over N evaluation layouts a task follows: the ceiling of imitation.
Run: python benchmarks/bench_simulation.py [--steps 300] [--turns 5] [--experts 20] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from legion_core.sim import EVALUATION_SEED_BASE, RobotPlant, TaskEnv, make_env
from legion_core.sim.experts import expert_action
from legion_core.sim.metaworld_tasks import make_stock_task, make_task
from legion_core.spaces import Vector
from legion_core.tasks import task_names
from legion_sim2real.bridge import BridgeFactory

COLUMNS = ("Meta-World Sawyer", "Sawyer", "iiwa mocap", "iiwa servo")


def steppers(task: str) -> dict[str, Callable[[Vector], object]]:
    """One step function a column, each in the same layout."""
    sawyer, iiwa = make_task(task, "sawyer", "mocap"), make_task(task, "iiwa7", "mocap")
    for env in (sawyer, iiwa):
        env.start(0)
    stock = make_stock_task(task, sawyer._last_rand_vec)
    stock.max_path_length = sawyer.max_path_length
    stock.reset()
    plant = RobotPlant(task, seed=0)
    joints = plant.state().joint_positions
    functions = (stock.step, sawyer.step, iiwa.step, lambda action: plant.step(joints + 0.05 * action[0], action[3]))
    return dict(zip(COLUMNS, functions, strict=True))


def measure(task: str, steps: int, turns: int) -> dict[str, float]:
    """Median steps a second of each column."""
    functions = steppers(task)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 4))
    rates: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(turns):
        for name, step in functions.items():
            began = time.perf_counter()
            for action in actions:
                step(action)
            rates[name].append(steps / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in rates.items()}


def solved(env: TaskEnv, episodes: int) -> int:
    """How many evaluation layouts the expert solves."""
    count = 0
    for seed in range(EVALUATION_SEED_BASE, EVALUATION_SEED_BASE + episodes):
        env.reset(seed=seed)
        truncated, info = False, {"success": False}
        while not (truncated or info["success"]):
            _, _, _, truncated, info = env.step(expert_action(env.task, env.expert_observation()))
        count += info["success"]
    return count


def experts(episodes: int) -> dict[str, dict[str, int]]:
    """Print and return how many layouts the experts solve, by task and then by arm and actuation."""
    choices = (("sawyer", "mocap"), ("iiwa7", "mocap"), ("iiwa7", "servo"))
    table: dict[str, dict[str, int]] = {}
    print(f"\nsolved of {episodes:<12d}" + "".join(f"{' '.join(choice):>19s}" for choice in choices))
    for task in task_names():
        table[task] = {
            f"{arm} {actuation}": solved(make_env(task, arm=arm, actuation=actuation, bridge=BridgeFactory()), episodes)
            for arm, actuation in choices
        }
        print(f"{task:22s}" + "".join(f"{count:19d}" for count in table[task].values()), flush=True)
    return table


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of one turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each environment")
    parser.add_argument("--experts", type=int, default=0, help="layouts a task for the experts")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    table = {}
    results: dict[str, object] = {"steps_per_second": table}
    print(f"{'task':22s}" + "".join(f"{name:>19s}" for name in COLUMNS) + f"{'speed-up':>10s}")
    for task in task_names():
        row = table[task] = measure(task, arguments.steps, arguments.turns)
        speed_up = row["Sawyer"] / row["Meta-World Sawyer"]
        print(f"{task:22s}" + "".join(f"{row[name]:19.0f}" for name in COLUMNS) + f"{speed_up:10.2f}", flush=True)
    if arguments.experts:
        results["experts_solved"] = {"layouts": arguments.experts, "tasks": experts(arguments.experts)}
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
