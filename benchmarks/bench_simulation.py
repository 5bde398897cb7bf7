"""Steps a second of every task: unmodified Meta-World, this project's Sawyer and iiwa, the servo plant; the experts.

All take the same actions in the same run, in turns, so that a busy machine slows them alike; the figure is the
median over the turns. The servo plant, which has LEGION's ten tasks only, steps 8 x 2.5 ms, the others 5 x 2.5 ms.
With --experts N the success of the scripted experts over N evaluation layouts a task follows, in LEGION's 150 steps and
in Meta-World's 500: the ceiling of imitation.
Run: python benchmarks/bench_simulation.py [--set fifty] [--steps 300] [--turns 5] [--experts 20] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from legion_core.sim import EVALUATION_SEED_BASE, RobotPlant, TaskEnv, make_env
from legion_core.sim.experts import expert_action
from legion_core.sim.metaworld_tasks import make_stock_task, make_task
from legion_core.spaces import Vector
from legion_core.tasks import task_names, task_set
from legion_sim2real.bridge import BridgeFactory

STEP_LIMITS = (150, 500)


def steppers(task: str) -> dict[str, Callable[[Vector], object]]:
    """One step function an arm and actuation, each in the same layout."""
    sawyer, iiwa = make_task(task, "sawyer", "mocap"), make_task(task, "iiwa7", "mocap")
    for env in (sawyer, iiwa):
        env.start(0)
    stock = make_stock_task(task, sawyer._last_rand_vec)
    stock.max_path_length = sys.maxsize
    stock.reset()
    functions = {"Meta-World Sawyer": stock.step, "Sawyer": sawyer.step, "iiwa mocap": iiwa.step}
    if task in task_names():
        plant = RobotPlant(task, seed=0)
        joints = plant.state().joint_positions
        functions["iiwa servo"] = lambda action: plant.step(joints + 0.05 * action[0], action[3])
    return functions


def measure(task: str, steps: int, turns: int) -> dict[str, float]:
    """Median steps a second of each arm and actuation."""
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


def steps_needed(env: TaskEnv, episodes: int) -> list[int]:
    """In how many steps the expert solves each of the evaluation layouts that it does solve."""
    needed = []
    for seed in range(EVALUATION_SEED_BASE, EVALUATION_SEED_BASE + episodes):
        env.reset(seed=seed)
        steps, truncated, info = 0, False, {"success": False}
        while not (truncated or info["success"]):
            _, _, _, truncated, info = env.step(expert_action(env.task, env.expert_observation()))
            steps += 1
        if info["success"]:
            needed.append(steps)
    return needed


def experts(tasks: list[str], episodes: int) -> dict[str, dict[str, dict[str, float]]]:
    """Print and return what the experts solve, by task and then by arm and actuation."""
    choices = (("sawyer", "mocap"), ("iiwa7", "mocap"), ("iiwa7", "servo"))
    table: dict[str, dict[str, dict[str, float]]] = {}
    print(f"\nOf {episodes} layouts solved in {STEP_LIMITS[0]} steps / in {STEP_LIMITS[1]}, median steps of the solved")
    print(f"{'task':26s}" + "".join(f"{' '.join(choice):>22s}" for choice in choices))
    for task in tasks:
        table[task] = {}
        for arm, actuation in choices if task in task_names() else choices[:2]:
            bridge = BridgeFactory()
            env = make_env(task, arm=arm, actuation=actuation, bridge=bridge, max_steps=STEP_LIMITS[-1])
            needed = steps_needed(env, episodes)
            table[task][f"{arm} {actuation}"] = {
                **{f"in {limit}": sum(steps <= limit for steps in needed) for limit in STEP_LIMITS},
                "median steps": statistics.median(needed) if needed else math.nan,
            }
        cells = (f"{c['in 150']:.0f} / {c['in 500']:.0f}, {c['median steps']:.0f}" for c in table[task].values())
        print(f"{task:26s}" + "".join(f"{cell:>22s}" for cell in cells), flush=True)
    return table


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("ten", "fifty"), default="ten", help="LEGION's tasks or all of Meta-World's")
    parser.add_argument("--steps", type=int, default=300, help="steps of one turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each environment")
    parser.add_argument("--experts", type=int, default=0, help="layouts a task for the experts")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    tasks = [task.name for task in task_set(arguments.set)]
    table = {}
    results: dict[str, object] = {"steps_per_second": table}
    for i, task in enumerate(tasks):
        row = table[task] = measure(task, arguments.steps, arguments.turns)
        stock = row["Meta-World Sawyer"]
        if i == 0:
            print(f"{'steps a second (to stock)':26s}" + "".join(f"{name:>22s}" for name in row))
        cells = (f"{rate:.0f} ({rate / stock:.2f})" for rate in row.values())
        print(f"{task:26s}" + "".join(f"{cell:>22s}" for cell in cells), flush=True)
    if arguments.experts:
        results["experts_solved"] = {"layouts": arguments.experts, "tasks": experts(tasks, arguments.experts)}
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
