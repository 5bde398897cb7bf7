"""A run from its settings to its bundle: stages of rounds, each of which collects, learns and records.

Everything random in a round follows from the run's seed and the round's place, and a checkpoint lies between rounds;
so a run that was killed continues from any of its checkpoints to the very same result.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from legion_core import __version__
from legion_core.bundle import MIXTURE, Manifest, PolicyBundle
from legion_core.evaluation import Evaluation, chunks, evaluate_direct
from legion_core.knowledge import KnowledgeSpace
from legion_core.layouts import GOALS
from legion_core.learning.agent import LegionAgent, Losses
from legion_core.learning.curriculum import Stage, schedule
from legion_core.learning.normalisation import normalisation
from legion_core.learning.replay import Replay, RowSpec, Transitions
from legion_core.learning.rollout import ActingPolicy, Collected, Rollout, Who, collect
from legion_core.learning.run_directory import RunDirectory, require_free_space
from legion_core.learning.sentences import Sentences
from legion_core.learning.settings import RunSettings
from legion_core.mixture import make_engine, name_components, purity
from legion_core.sim import EVALUATION_SEED_BASE, MAX_STEPS, ArmBridge, RealityGap, check_actuation
from legion_core.spaces import Float32, ObservationSpec, Vector
from legion_core.tasks import get_task, task_set
from legion_core.workers import run_jobs, worker_pool

UNFAMILIAR_SHARE = 0.001
"""Share of the training latents that are less likely than what counts as familiar."""
FINAL_SEED_BASE = 2 * EVALUATION_SEED_BASE
"""Layouts of the final evaluation, which no other one looks at."""
EPISODES_A_JOB = 5
OPTIMISER_SHARE = 3
"""A checkpoint's size over that of the networks: Adam keeps two moments."""
PACKAGES = ("numpy", "torch", "mujoco", "metaworld", "sentence-transformers")

BridgeFactory = Callable[[], ArmBridge]


@dataclass(frozen=True)
class Bridges:
    """Picklable makers of what stands between policy and robot in servo actuation: plain, and across a reality gap."""

    plain: BridgeFactory | None = None
    gap: BridgeFactory | None = None


@dataclass(frozen=True)
class World:
    """Where episodes are run: an actuation, or servo actuation across a gap."""

    name: str
    actuation: str
    bridge: BridgeFactory | None
    gap: RealityGap | None = None

    @property
    def in_full(self) -> World:
        """With the whole strength of its gap."""
        return replace(self, gap=self.gap and replace(self.gap, strength=(1.0, 1.0)))


def train(
    settings: RunSettings,
    folder: Path | str,
    *,
    resume: bool = False,
    checkpoint: str | None = None,
    bridges: Bridges = Bridges(),
    command: str = "legion_core.learning.trainer.train",
    progress: bool = True,
) -> PolicyBundle:
    """Start a run in the new folder, or resume the one in it; returns and leaves in `folder/bundle` its policy.

    Args:
        settings: of the run; those of a resumed run are in its folder (`RunDirectory.read(folder).settings`).
        checkpoint: number of the checkpoint from which to resume; the newest by default.
        bridges: for servo actuation and for a gap.
        command: what the operator typed, for the manifest.

    Raises:
        RunError: the folder exists, or is no run to resume, or another process works in it.
        ConfigurationError: settings that do not go together, or a device that is not there.
        TaskError: an unknown task.
    """
    torch.set_num_threads(settings.threads)
    preparation, board = Preparation(settings, bridges), settings.tensorboard
    require_free_space(folder, preparation.bytes_needed)
    if resume:
        directory = RunDirectory.open(folder, tensorboard=board)
    else:
        directory = RunDirectory.create(folder, settings.mapping(), tensorboard=board)
    with directory, worker_pool(settings.processes) as pool:
        return Trainer(preparation, directory, pool, command, progress).run(resume, checkpoint)


class Preparation:
    """What can be wrong with the settings is found here, before a folder is made."""

    def __init__(self, settings: RunSettings, bridges: Bridges) -> None:
        self.settings = settings
        self.worlds = [World(name, name, bridges.plain) for name in settings.actuations]
        if settings.randomisation is not None:
            self.worlds.append(World("gap", "servo", bridges.gap, settings.randomisation))
        for world in self.worlds:
            check_actuation(settings.arm, world.actuation, world.bridge)
        names = settings.tasks or tuple(task.name for task in task_set(settings.task_set))
        self.tasks = tuple(get_task(name) for name in names)
        self.stages = schedule(settings.mode, settings.order, names, seed=settings.seed, meetings=settings.meetings)
        self.spec = ObservationSpec(settings.observation)
        self.sentences = Sentences(self.tasks)
        mean, scale = normalisation(self.spec.fields)
        self.agent = LegionAgent(
            settings.agent, mean, scale, self.sentences.canonical(), settings.device, settings.seed
        )
        self.mixture = make_engine(settings.agent.mixture_engine, settings.agent.mixture, settings.seed)

    @property
    def bytes_needed(self) -> int:
        """On the disk, for transitions and checkpoints, at most."""
        settings, plan = self.settings, self.settings.plan
        episodes = (plan.first_episodes + plan.rounds * plan.episodes) * len(self.worlds)
        steps = MAX_STEPS * episodes * sum(len(stage.tasks) for stage in self.stages)
        checkpoint = sum(array.nbytes for array in self.agent.state().values()) * OPTIMISER_SHARE
        rows = min(settings.replay.capacity, steps) * RowSpec(self.spec.size).width * 4
        return int(rows + checkpoint * (len(self.stages) + 3))


class Trainer:
    """One run in progress."""

    def __init__(
        self,
        preparation: Preparation,
        directory: RunDirectory,
        pool: Executor,
        command: str,
        progress: bool,
    ) -> None:
        self._settings, self._tasks, self._stages = preparation.settings, preparation.tasks, preparation.stages
        self._spec, self._sentences = preparation.spec, preparation.sentences
        self._agent, self._mixture = preparation.agent, preparation.mixture
        self._worlds, self._directory, self._pool = preparation.worlds, directory, pool
        self._command, self._progress = command, progress
        replay = self._settings.replay
        self._replay = Replay(
            directory.replay, RowSpec(self._spec.size), replay.capacity, replay.retention, replay.task_budget
        )
        self._index = {task.name: index for index, task in enumerate(self._tasks)}
        self._knowledge: KnowledgeSpace | None = None
        self._latents: Float32 = np.empty((0, self._settings.agent.architecture.latent), np.float32)
        self._typical: dict[str, tuple[float, ...]] = {}
        self._stage, self._round, self._updates, self._env_steps, self._stage_env_steps = 0, 0, 0, 0, 0
        self._best, self._saved_at = (0, -1.0), 0
        self._started, self._elapsed_before = time.perf_counter(), 0.0

    def run(self, resume: bool, checkpoint: str | None) -> PolicyBundle:
        """All stages that are left, then the final evaluation."""
        if resume:
            self._restore(checkpoint)
        else:
            self._save(stage_end=False)
        for stage in self._stages[self._stage :]:
            self._learn_stage(stage)
        return self._finish()

    # -- stages and rounds -------------------------------------------------------------------------------------

    def _learn_stage(self, stage: Stage) -> None:
        plan = self._settings.plan
        if self._round == 0:
            self._agent.begin_stage(plan.first_updates + plan.rounds * plan.updates)
            self._stage_env_steps = 0
            self._record("stage", event="start", tasks=stage.tasks, seen=stage.seen)
            self._evaluate("stage_start", stage.tasks, self._settings.evaluation.start)
        while True:
            self._learn_round(stage)
            if self._round == plan.rounds:
                break
            self._round += 1
            if self._updates - self._saved_at >= self._settings.checkpoint_updates:
                self._save(stage_end=False)
        self._end_stage(stage)
        self._stage, self._round = stage.index + 1, 0
        self._save(stage_end=True)

    def _learn_round(self, stage: Stage) -> None:
        settings, first = self._settings, self._round == 0
        rng = np.random.default_rng([settings.seed, stage.index, self._round])
        self._agent.seed(int(rng.integers(2**62)))
        self._collect(stage, rng)
        if first:
            self._repeat(settings.agent.encoder_first, "encoder", rng, self._agent.update_encoder)
        self._learn(settings.plan.first_updates if first else settings.plan.updates, rng, stage)
        if self._round % settings.evaluation.round_interval == 0:
            self._evaluate("round", stage.tasks, settings.evaluation.round)

    def _collect(self, stage: Stage, rng: np.random.Generator) -> None:
        """New episodes of each task of the stage, into the replay."""
        settings = self._settings
        scripted, first = settings.demonstrations == "scripted", self._round == 0
        who: Who = ("expert" if scripted else "random") if first else "policy"
        count = settings.plan.first_episodes if first else settings.plan.episodes
        weights = self._agent.weights() if who == "policy" else None
        canonical = self._sentences.canonical()
        jobs = [
            Rollout(
                task,
                self._index[task],
                settings.arm,
                world.actuation,
                seeds,
                self._spec,
                who,
                settings.after_success,
                scripted,
                settings.noise if who == "expert" else None,
                ActingPolicy(weights, canonical[self._index[task]], sample=not scripted) if weights else None,
                world.bridge,
                world.gap,
            )
            for world in self._worlds
            for task in stage.tasks
            for seeds in chunks(rng.integers(EVALUATION_SEED_BASE, size=count).tolist(), EPISODES_A_JOB)
        ]
        groups: dict[str, list[Collected]] = defaultdict(list)
        results = run_jobs(self._pool, collect, jobs, f"{stage.name}: {who}", self._progress)
        for job, collected in zip(jobs, results, strict=True):
            self._replay.add(collected.transitions, rng)
            groups[job.task].append(collected)
        for task, parts in groups.items():
            steps = sum(len(part.transitions) for part in parts)
            self._env_steps += steps
            self._stage_env_steps += steps
            self._record(
                "collect",
                task=task,
                who=who,
                episodes=sum(part.episodes for part in parts),
                successes=sum(part.successes for part in parts),
                steps=steps,
                mean_return=round(float(np.mean([part.mean_return for part in parts])), 3),
            )

    def _learn(self, updates: int, rng: np.random.Generator, stage: Stage) -> None:
        """Updates of everything; the mixture where it is due."""
        agent, began = self._settings.agent, time.perf_counter()

        def update(transitions: Transitions) -> Losses:
            losses = self._agent.update(transitions)
            self._updates += 1
            since_first = self._agent.stage_updates - agent.mixture_first
            if since_first >= 0 and since_first % agent.mixture_interval == 0:
                self._fit_mixture(stage, rng)
            return losses

        losses = self._repeat(updates, "learn", rng, update)
        if updates:
            rate = round(updates / (time.perf_counter() - began), 2)
            self._record("updates", losses=losses, updates_per_s=rate)

    def _repeat(
        self, count: int, title: str, rng: np.random.Generator, update: Callable[[Transitions], Losses]
    ) -> dict[str, float]:
        """`update` on so many batches; the mean of each loss over them."""
        settings = self._settings
        sums: dict[str, torch.Tensor] = {}
        counts: dict[str, int] = defaultdict(int)
        for _ in tqdm(range(count), desc=title, disable=None if self._progress else True, leave=False):
            if settings.phrasings:
                self._agent.speak(self._sentences.draw(rng))
            losses = update(self._replay.sample(rng, settings.agent.batch, settings.replay.balance))
            for name, value in losses.items():
                sums[name] = sums[name] + value if name in sums else value
                counts[name] += 1
        return {name: round(float(value) / counts[name], 6) for name, value in sums.items()}

    def _end_stage(self, stage: Stage) -> None:
        """Fit, measure and keep what the stage has led to."""
        rng = np.random.default_rng([self._settings.seed, stage.index, self._settings.plan.rounds + 1])
        self._agent.seed(int(rng.integers(2**62)))
        self._fit_mixture(stage, rng, keep=True)
        success = self._evaluate("stage_end", stage.seen, self._settings.evaluation.stage)
        bundle = self._bundle()
        bundle.save(self._directory.stage(stage.name) / "bundle")
        if success and (len(stage.seen), float(np.mean(list(success.values())))) >= self._best:
            self._best = (len(stage.seen), float(np.mean(list(success.values()))))
            self._directory.replace_bundle("best", bundle)
        self._record("stage", event="end", tasks=stage.tasks, seen=stage.seen)
        if self._progress:
            mean = f", mean success {np.mean(list(success.values())):.3f}" if success else ""
            tqdm.write(f"{stage.name}: {len(stage.seen)} tasks seen, {self._components()} components{mean}")

    def _finish(self) -> PolicyBundle:
        """The final evaluation on layouts not looked at before, and the bundle that says how it came to be."""
        settings = self._settings
        bundle, success = self._bundle(), {}
        for world in self._worlds:
            evaluation = self._measure(bundle, self._stages[-1].seen, world, settings.evaluation.final, FINAL_SEED_BASE)
            if evaluation:
                self._record_evaluation("final", world, evaluation)
                success[world.name] = _scored(evaluation)
        manifest = replace(bundle.manifest, training=self._provenance(), success=success)
        bundle = replace(bundle, manifest=manifest)
        self._directory.replace_bundle("bundle", bundle)
        return bundle

    # -- the knowledge space -----------------------------------------------------------------------------------

    def _fit_mixture(self, stage: Stage, rng: np.random.Generator, keep: bool = False) -> None:
        """Fit the mixture to latents of every task seen, as many of each, and draw latents towards it from now on."""
        per_task = max(1, self._settings.agent.mixture_latents // len(stage.seen))
        rows = self._replay.latent_rows(per_task, rng)
        mu, z = self._agent.infer(rows)
        names = [self._tasks[index].name for index in rows.task]
        fit = self._mixture.fit(z)
        self._knowledge = name_components(fit, names)
        self._latents = mu
        self._typical = self._most_likely(rows, self._knowledge.log_likelihood(mu))
        self._agent.know(self._knowledge)
        self._record(
            "mixture",
            components=fit.components,
            tasks_seen=len(stage.seen),
            purity=purity(fit.assignment, names),
            elbo=fit.elbo,
            births=fit.moves("birth"),
            merges=fit.moves("merge"),
            engine=fit.engine,
        )
        if keep:
            np.savez(
                self._directory.stage(stage.name) / "latents.npz",
                z=z,
                mu=mu,
                task=rows.task.astype(np.int8),
                assignment=fit.assignment.astype(np.int16),
                names=np.array([task.name for task in self._tasks]),
                stage=np.int8(stage.index),
            )

    def _most_likely(self, rows: Transitions, likelihood: Vector) -> dict[str, tuple[float, ...]]:
        """Of each task the observation whose latent is the most likely, to the millimetre."""
        found = {}
        for index in np.unique(rows.task):
            own = np.flatnonzero(rows.task == index)
            observation = rows.observation[own[likelihood[own].argmax()]]
            found[self._tasks[index].name] = tuple(np.round(observation.astype(float), 3).tolist())
        return found

    def _components(self) -> int:
        return 0 if self._knowledge is None else len(self._knowledge.tasks)

    def _bundle(self) -> PolicyBundle:
        """The frozen policy as it is now."""
        knowledge, latent = self._knowledge, self._settings.agent.architecture.latent
        familiar = -np.inf
        if knowledge is None:
            knowledge = KnowledgeSpace(np.ones(1), np.zeros((1, latent)), np.ones((1, latent)), (self._tasks[0].name,))
            familiar = -1e9
        else:
            familiar = float(np.quantile(knowledge.log_likelihood(self._latents), UNFAMILIAR_SHARE))
        sentences = self._sentences
        manifest = Manifest(
            observation=self._spec.fields,
            embedding=sentences.model,
            tasks=sentences.tasks,
            components=knowledge.tasks,
            familiar_log_likelihood=familiar,
            refused=sentences.refused_sentences,
            typical=self._typical,
            goals={name: GOALS[name] for name in sentences.embeddings if name in GOALS},
            architecture=self._settings.agent.architecture,
        )
        return PolicyBundle(manifest, self._agent.weights(), knowledge, sentences.embeddings, sentences.refused)

    # -- measuring and recording -------------------------------------------------------------------------------

    def _evaluate(self, when: str, tasks: Sequence[str], episodes: int) -> dict[str, float]:
        """Success by task over all actuations, recorded; nothing for no episodes."""
        if not episodes:
            return {}
        bundle, by_task = self._bundle(), defaultdict(list)
        for world in self._worlds:
            evaluation = self._measure(bundle, tasks, world, episodes, EVALUATION_SEED_BASE)
            if evaluation:
                self._record_evaluation(when, world, evaluation)
                for summary in evaluation.tasks:
                    by_task[summary.name].append(summary.success)
        return {name: float(np.mean(values)) for name, values in by_task.items()}

    def _measure(
        self, bundle: PolicyBundle, tasks: Sequence[str], world: World, episodes: int, first_seed: int
    ) -> Evaluation | None:
        if not episodes:
            return None
        return evaluate_direct(
            bundle,
            tasks=tasks,
            episodes=episodes,
            actuation=world.actuation,
            arm=self._settings.arm,
            bridge_factory=world.bridge,
            gap=world.in_full.gap,
            first_seed=first_seed,
            pool=self._pool,
            progress=self._progress,
        )

    def _record_evaluation(self, when: str, world: World, evaluation: Evaluation) -> None:
        self._record(
            "evaluation",
            when=when,
            stage_env_steps=self._stage_env_steps,
            arm=self._settings.arm,
            actuation=world.name,
            tasks={s.name: {"episodes": s.episodes, "successes": s.successes} for s in evaluation.tasks},
        )

    def _record(self, kind: str, **values: Any) -> None:
        place = {"stage": self._stage, "round": self._round, "update": self._updates, "env_steps": self._env_steps}
        self._directory.append({"kind": kind, **place, "wall_s": round(self._elapsed(), 1), **values})

    def _elapsed(self) -> float:
        return self._elapsed_before + time.perf_counter() - self._started

    def _provenance(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "method": f"{settings.mode} LEGION, demonstrations {settings.demonstrations}",
            "command": self._command,
            "legion_ros": __version__,
            "settings": asdict(settings),
            "updates": self._updates,
            "environment_steps": self._env_steps,
            "seconds": round(self._elapsed()),
            "python": platform.python_version(),
            "packages": {name: version(name) for name in PACKAGES},
        }

    # -- checkpoints -------------------------------------------------------------------------------------------

    def _save(self, stage_end: bool) -> None:
        tensors = self._agent.state()
        tensors |= {f"mixture.{name}": array for name, array in self._mixture.state().items()}
        state: dict[str, Any] = {
            "stage": self._stage,
            "round": self._round,
            "updates": self._updates,
            "env_steps": self._env_steps,
            "stage_env_steps": self._stage_env_steps,
            "best": self._best,
            "elapsed_s": self._elapsed(),
            "replay": self._replay.mark(),
        }
        if self._knowledge is not None:
            knowledge = self._knowledge
            tensors |= {f"knowledge.{name}": getattr(knowledge, name) for name in MIXTURE}
            tensors["knowledge.latents"] = self._latents
            state |= {"components": knowledge.tasks, "typical": self._typical}
        self._directory.save_checkpoint(tensors, state, stage_end=stage_end)
        self._saved_at = self._updates
        oldest = self._directory.checkpoint_state(self._directory.checkpoints()[0])
        self._replay.forget(oldest["replay"])

    def _restore(self, checkpoint: str | None) -> None:
        tensors, state = self._directory.rewind(checkpoint)
        self._replay.rewind(state["replay"])
        self._agent.restore(tensors)
        self._mixture.restore({k.removeprefix("mixture."): v for k, v in tensors.items() if k.startswith("mixture.")})
        if "components" in state:
            weights, means, variances = (tensors[f"knowledge.{name}"] for name in MIXTURE)
            self._knowledge = KnowledgeSpace(weights, means, variances, tuple(state["components"]))
            self._latents = tensors["knowledge.latents"]
            self._typical = {task: tuple(values) for task, values in state["typical"].items()}
            self._agent.know(self._knowledge)
        self._stage, self._round, self._updates = state["stage"], state["round"], state["updates"]
        self._env_steps, self._stage_env_steps = state["env_steps"], state["stage_env_steps"]
        self._best, self._elapsed_before = tuple(state["best"]), state["elapsed_s"]
        self._saved_at = self._updates


def _scored(evaluation: Evaluation) -> dict[str, Any]:
    return {
        **evaluation.settings,
        "mean": round(evaluation.mean_success, 4),
        "worst": round(evaluation.worst_success, 4),
        "tasks": {task.name: round(task.success, 4) for task in evaluation.tasks},
    }
