"""The whole graph as separate processes, simulator in real time: latency, start-up time and memory.

The latency is what the robot sees: from the moment the simulator publishes a joint state to the moment the command that
answers it has arrived; and from a sentence to the first command. The graph is started twice; the second start counts.
Run: python benchmarks/bench_latency.py [--policy FOLDER] [--seconds 30] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from std_msgs.msg import Float64MultiArray

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_ros.client import LegionClient
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.domain import own_domain
from legion_ros.qos import SENSOR
from legion_ros.starter import Starter

BARS = {
    "latency median ms": 4.0,
    "latency p99 ms": 10.0,
    "sentence to command median ms": 150.0,
    "second start s": 20.0,
    "memory MB": 2500.0,
}
QUIET_S = 0.5
"""Without a command for so long, the arm has no task."""
PHRASINGS = 2
"""Sentences said of each task, none of them its description."""
SECONDS_A_TASK = 5.0


def start_seconds(starter: Starter) -> float:
    """Time until every node is ready; the processes have just been started."""
    began = time.perf_counter()
    for _ in starter.wait_ready():
        pass
    return time.perf_counter() - began


def memory_mb(starter: Starter) -> dict[str, float]:
    """Proportional set size of each process: shared pages count once over all."""
    sizes = {}
    for process in starter.processes:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
        line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        sizes[process.spec.name] = int(line.split()[1]) / 1024
    return sizes


def command_latency_ms(client: LegionClient, bundle: PolicyBundle, seconds: float) -> dict[str, float]:
    """Latency over the newest 1,000 policy steps, as the simulator has taken it while one task followed the other."""
    end = time.monotonic() + seconds
    for task in itertools.cycle(bundle.manifest.tasks):
        client.say(task.description)
        client.spin(SECONDS_A_TASK)
        if time.monotonic() > end:
            break
    client.spin(1.0)
    values = client.status["mujoco_node"].values
    return {name: float(values[f"latency_{name}_ms"]) for name in ("median", "p99", "max")}


def sentence_latency_ms(client: LegionClient, bundle: PolicyBundle, topic: str) -> dict[str, float]:
    """From a sentence to the first joint command that follows it, each time from rest."""
    commands: list[float] = []
    client.node.create_subscription(
        Float64MultiArray, topic, lambda message: commands.append(time.perf_counter()), SENSOR
    )
    taken = []
    for task in bundle.manifest.tasks:
        for sentence in task.phrasings[:PHRASINGS]:
            client.say("")
            client.wait(lambda: not commands or time.perf_counter() - commands[-1] > QUIET_S, 10.0)
            commands.clear()
            began = time.perf_counter()
            client.say(f"please {sentence} now")  # no sentence that is known word by word
            if client.wait(lambda: bool(commands), 5.0):
                taken.append(1e3 * (commands[0] - began))
    median, worst = np.percentile(taken, (50, 100))
    return {"median": float(median), "max": float(worst)}


def measure(policy: str, seconds: float) -> dict[str, Any]:
    """All figures."""
    bundle = PolicyBundle.load(policy or None)
    options = DeploymentOptions(policy=policy)
    graph = deployment_graph(options)
    with own_domain():
        with Starter(graph) as starter:
            first_s = start_seconds(starter)
        with Starter(graph) as starter, LegionClient() as client:
            second_s = start_seconds(starter)
            sentence = sentence_latency_ms(client, bundle, options.profile.command_topic)
            latency = command_latency_ms(client, bundle, seconds)
            starter.poll()  # raises if a node was lost meanwhile
            memory = memory_mb(starter)
    return {
        **{f"latency {name} ms": value for name, value in latency.items()},
        **{f"sentence to command {name} ms": value for name, value in sentence.items()},
        "first start s": first_s,
        "second start s": second_s,
        "memory MB": sum(memory.values()),
        "memory MB by node": memory,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to measure the latency")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    try:
        figures = measure(options.policy, options.seconds)
    except LegionError as error:
        print(f"bench_latency: {error}", file=sys.stderr)
        return 1
    print("| whole graph, real time | measured | bar |\n|---|---|---|")
    for name, value in figures.items():
        if isinstance(value, float):
            print(f"| {name} | {value:.1f} | {f'<= {BARS[name]:g}' if name in BARS else ''} |")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
