"""Run folders as training writes them, with success that follows a formula instead of a robot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from legion_core.learning.curriculum import schedule

ROUNDS = 3
ROUND_STEPS = 1000
EPISODES = 20


def success(stage: int, met: int, round_: int) -> int:
    """Successes of EPISODES: grows over the rounds of the stage that practises the task, then falls by one."""
    return min(EPISODES, 6 * (round_ + 1) + 2 * met) if round_ < ROUNDS else EPISODES - 1


def records(
    mode: str = "lifelong",
    tasks: Sequence[str] = ("reach", "push", "pick-place"),
    order: Sequence[str] = ("curriculum",),
    seed: int = 0,
    stages: int | None = None,
) -> Iterator[dict[str, Any]]:
    """The records of a run, or of its first `stages` stages followed by the start of the next."""
    plan = schedule(mode, order, tasks, seed=seed)
    env_steps = update = 0
    last = len(plan) if stages is None else stages
    meetings = dict.fromkeys(tasks, 0)

    def record(kind: str, stage: int, round_: int, **more: Any) -> dict[str, Any]:
        place = {"stage": stage, "round": round_, "update": update, "env_steps": env_steps, "wall_s": env_steps / 50}
        return {"kind": kind} | place | more

    def evaluation(when: str, stage: int, round_: int, steps: int, counts: dict[str, int]) -> dict[str, Any]:
        entries = {name: {"episodes": EPISODES, "successes": count} for name, count in counts.items()}
        condition = {"arm": "iiwa7", "actuation": "mocap"}
        return record("evaluation", stage, round_, when=when, stage_env_steps=steps, tasks=entries, **condition)

    for stage in plan:
        event = {"tasks": list(stage.tasks), "seen": list(stage.seen)}
        yield record("stage", stage.index, 0, event="start", **event)
        begin = env_steps
        if stage.index == last:
            return
        start = {name: min(EPISODES, 2 * meetings[name] + stage.index) for name in stage.tasks}
        yield evaluation("stage_start", stage.index, 0, 0, start)
        for round_ in range(ROUNDS):
            env_steps, update = env_steps + ROUND_STEPS, update + 100
            losses = {"critic": 1 / update, "actor": -float(np.log(update)), "encoder_kl": 100 / (100 + update)}
            yield record("updates", stage.index, round_, losses=losses, updates_per_s=80.0)
            counts = {name: success(stage.index, meetings[name], round_) for name in stage.tasks}
            yield evaluation("round", stage.index, round_, env_steps - begin, counts)
        fit = {"components": len(stage.seen), "tasks_seen": len(stage.seen), "purity": 1.0, "elbo": -1.5}
        yield record("mixture", stage.index, ROUNDS, births=1, merges=0, engine="memoized", **fit)
        ends = {name: EPISODES if name in stage.tasks else EPISODES - 1 for name in stage.seen}
        yield evaluation("stage_end", stage.index, ROUNDS, env_steps - begin, ends)
        yield record("stage", stage.index, ROUNDS, event="end", **event)
        for name in stage.tasks:
            meetings[name] += 1
    counts = {name: EPISODES - (name == plan[0].tasks[0]) for name in plan[-1].seen}
    yield evaluation("final", plan[-1].index, ROUNDS, ROUNDS * ROUND_STEPS, counts)


def write_latents(folder: Path, stage: int, tasks: Sequence[str], rng: np.random.Generator) -> None:
    """`latents.npz` of a stage: a cluster of 20 latents a task, ten numbers each."""
    folder.mkdir(parents=True)
    task = np.repeat(np.arange(len(tasks)), 20)
    mu = (3 * rng.normal(size=(len(tasks), 10)))[task] + 0.3 * rng.normal(size=(len(task), 10))
    z = mu + 0.1 * rng.normal(size=mu.shape)
    np.savez(
        folder / "latents.npz",
        z=z.astype(np.float32),
        mu=mu.astype(np.float32),
        task=task,
        assignment=task,
        names=np.array(tasks),
        stage=np.int64(stage),
    )


def write_run(
    folder: Path,
    mode: str = "lifelong",
    tasks: Sequence[str] = ("reach", "push", "pick-place"),
    order: Sequence[str] = ("curriculum",),
    seed: int = 0,
    stages: int | None = None,
) -> Path:
    """A run folder, finished or with `stages` ended stages; without bundles."""
    folder.mkdir(parents=True)
    settings = {"mode": mode, "tasks": list(tasks), "order": list(order), "seed": seed, "demonstrations": "scripted"}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    lines = [json.dumps(r) for r in records(mode, tasks, order, seed, stages)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(seed)
    plan = schedule(mode, order, tasks, seed=seed)
    for stage in plan[: len(plan) if stages is None else stages]:
        write_latents(folder / "stages" / stage.name, stage.index, stage.seen, rng)
    return folder
