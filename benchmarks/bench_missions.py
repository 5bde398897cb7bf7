"""The composite missions: how many are completed, and whether the detector agrees with the simulator's own rules.

    python benchmarks/bench_missions.py [--loop direct|ros] [--mission NAME ...] [--episodes 20] [--seed 2000000]

`direct` runs simulator, bridge, policy and mission logic in one loop; `ros` the whole graph in lockstep, asked for a
mission by its request. A mission is complete when the detector saw every step succeed; a false success is one that it
told before the simulator's own rule had held. On the way to a step nothing should be touched but what the step before
handled; only `direct` sees what is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legion_core.bundle import PolicyBundle
from legion_core.mission import Mission, get_mission, request_of
from legion_core.mission_loop import run_mission
from legion_core.mission_run import MissionState
from legion_core.policy import LegionPolicy
from legion_core.sim.composite import load_scene
from legion_core.sim.plant import RobotPlant
from legion_sim2real.bridge import BridgeFactory

FINAL_SEED = 2_000_000
MISSIONS = ("clear_the_table", "make_coffee")


@dataclass(frozen=True)
class Row:
    """One mission in one layout."""

    mission: str
    seed: int
    complete: bool
    attempts: tuple[int, ...]
    seconds: float
    wrong: tuple[str, ...]
    text: str
    touched: tuple[str, ...] = ()
    stops: int = 0
    """Emergency stops of the watchdog, which takes a starved lockstep for silence; they are cleared at once."""


def direct(mission: Mission, seeds: range) -> Iterator[Row]:
    """Without ROS."""
    bundle = PolicyBundle.load()
    bridge, policy = BridgeFactory(spec=bundle.spec)(), LegionPolicy(bundle)
    plant = RobotPlant(composite=load_scene(mission.scene), robot=bridge.robot)
    for seed in seeds:
        done = run_mission(mission, plant, bridge, policy, seed)
        attempts = tuple(step.attempt for step in done.steps)
        text, seconds = f"at the end: {', '.join(done.kept)}", sum(step.seconds for step in done.steps)
        yield Row(mission.name, seed, done.succeeded, attempts, seconds, done.false, text, done.touched)


def through_ros(mission: Mission, seeds: range) -> Iterator[Row]:
    """The whole graph in lockstep."""
    from legion_ros.client import LegionClient
    from legion_ros.deployment import DeploymentOptions, deployment_graph
    from legion_ros.missions import Missions
    from legion_ros.starter import Starter

    options = DeploymentOptions(scene=mission.scene, lockstep=True)
    with Starter(deployment_graph(options)) as starter, LegionClient() as client:
        for _ in starter.wait_ready():
            pass
        missions, judge = Missions(client), _Judge(client)
        for seed in seeds:
            client.reset_simulator(seed=seed)
            judge.restart()
            stops = 0
            for told in missions.carry_out(request_of(mission)):
                if told["state"] == MissionState.HELD.value:
                    stops += 1
                    client.e_stop(False)
            steps = told["steps"]
            attempts, seconds = tuple(s["attempt"] for s in steps), sum(s["seconds"] for s in steps)
            complete = told["state"] == MissionState.SUCCEEDED.value
            yield Row(mission.name, seed, complete, attempts, seconds, judge.wrong(steps), told["text"], stops=stops)


class _Judge:
    """What the simulator's own rules say of each attempt: its reports count steps from the beginning of each."""

    def __init__(self, client: Any) -> None:
        self._client = client
        client.on_episode = self._on_episode
        self.restart()

    def restart(self) -> None:
        """A mission begins."""
        self._solved, self._step = [False], 0

    def _on_episode(self, episode: Any) -> None:
        if episode.step < self._step:
            self._solved.append(False)
        self._step, self._solved[-1] = episode.step, self._solved[-1] or episode.success

    def wrong(self, steps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """The steps that were said to have succeeded, and whose last attempt the simulator does not call solved."""
        self._client.spin(0.5)  # its report may come after the detector's word
        attempts = [(step, number == step["attempt"]) for step in steps for number in range(1, step["attempt"] + 1)]
        judged = zip(attempts, self._solved[-len(attempts) :], strict=True)
        told = [(step, solved) for (step, last), solved in judged if last and step["state"] == "succeeded"]
        return tuple(step["task"] for step, solved in told if not solved)


def main() -> None:
    """Print a row an episode, then a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=("direct", "ros"), default="direct")
    parser.add_argument("--mission", nargs="+", default=MISSIONS)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=FINAL_SEED)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    table = [f"loop {options.loop}, {options.episodes} layouts from seed {options.seed}", ""]
    columns = ("mission", "complete", "false successes", "attempts beyond the first", "touched on the way", "stops")
    columns += ("simulated s", "wall s")
    table += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in options.mission:
        loop, start, new = direct if options.loop == "direct" else through_ros, time.monotonic(), []
        for row in loop(get_mission(name), range(options.seed, options.seed + options.episodes)):
            print(row, flush=True)
            new.append(row)
        more = Counter(a - 1 for row in new for a in row.attempts if a > 1)
        again = sum(count * times for count, times in more.items())
        wrong, done = sum(len(row.wrong) for row in new), [row for row in new if row.complete]
        simulated = sum(row.seconds for row in done) / max(len(done), 1)
        wall = (time.monotonic() - start) / len(new)
        stops, touched = sum(row.stops for row in new), sum(len(row.touched) for row in new)
        cells = (name, f"{len(done)}/{len(new)}", wrong, again, touched if options.loop == "direct" else "-", stops)
        table.append(f"| {' | '.join(map(str, cells))} | {simulated:.1f} | {wall:.1f} |")
        rows += new
    print("\n" + "\n".join(table))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
