"""Train a LEGION policy from nothing by imitating the scripted experts, and measure it (`legion train`).

Each round first teaches the task-inference encoder with LEGION's own loss, then the actor to do what the expert
would do given [observation, z]. As in LEGION the actor's loss does not reach the encoder: z stays a description of
the task, on which the mixture finds one component a task. After the first round the policy itself acts, and the
experts label the states to which that leads (DAgger).
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from legion_core import __version__
from legion_core.bundle import EmbeddingModel, Manifest, PolicyBundle
from legion_core.config import load_yaml, require
from legion_core.demonstrations import Demonstrations, Noise, Rollout, collect
from legion_core.embedding import InstructionEncoder
from legion_core.errors import BundleError
from legion_core.evaluation import Evaluation, chunks, evaluate_direct
from legion_core.knowledge import KnowledgeSpace
from legion_core.mixture import fit_knowledge
from legion_core.networks import PolicyNetwork
from legion_core.sim import EVALUATION_SEED_BASE, ArmBridge
from legion_core.spaces import Float32, ObservationSpec
from legion_core.tasks import all_tasks
from legion_core.workers import run_jobs, worker_pool

REFUSED_FILE = Path(__file__).parent / "data" / "refused.yaml"
LEAST_SCALE = 0.01
"""Metres (or opening): fields that hardly move in training are not blown up by the normalisation."""
UNFAMILIAR_SHARE = 0.001
"""Share of the training latents that are less likely than what counts as familiar."""
FINAL_RATE = 0.01
"""Learning rate at the end of a round over that at its start."""
EPISODES_A_JOB = 5
PACKAGES = ("numpy", "torch", "mujoco", "metaworld", "scikit-learn", "sentence-transformers")

BridgeFactory = Callable[[], ArmBridge]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; `config/train.yaml` explains each."""

    seed: int = 0
    processes: int = 2
    actuations: tuple[Literal["mocap", "servo"], ...] = ("mocap", "servo")
    demonstrations: int = 30
    rounds: int = 6
    relabelled: int = 20
    noise: Noise = field(default_factory=Noise)
    batch: int = 512
    learning_rate: float = 1e-3
    encoder_steps: tuple[int, int] = (500, 50)
    actor_steps: tuple[int, int] = (2500, 1500)
    kl_weight: float = 3e-4
    squared_weight: float = 0.1
    mixture_latents: int = 5000
    evaluation_episodes: int = 50

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", self.seed, ">= 0")
        require(self.rounds >= 0, "rounds", self.rounds, ">= 0")
        require(len(self.actuations) > 0, "actuations", self.actuations, "mocap, servo")
        require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "0 to 1")
        for name in ("kl_weight", "squared_weight"):
            require(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("processes", "demonstrations", "relabelled", "batch", "mixture_latents", "evaluation_episodes"):
            require(getattr(self, name) > 0, name, getattr(self, name), "> 0")
        for name in ("encoder_steps", "actor_steps"):
            require(min(getattr(self, name)) > 0, name, getattr(self, name), "> 0")


def train(
    config: TrainConfig,
    output: Path | str,
    *,
    bridge_factory: BridgeFactory | None = None,
    command: str = "legion_core.imitation.train",
    progress: bool = True,
) -> PolicyBundle:
    """Train, evaluate and save a bundle in the new folder `output`.

    Args:
        bridge_factory: picklable; makes what stands between policy and robot in servo actuation.
        command: what the operator typed, for the manifest.

    Raises:
        BundleError: `output` exists already; found before anything is trained.
        SimulationError: servo actuation without a bridge factory.
    """
    if Path(output).exists():
        raise BundleError(f"{output} exists already; choose a folder that does not")
    start = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    language = Language()
    with worker_pool(config.processes) as pool:
        training = _Training(config, language, pool, bridge_factory, progress)
        learner = training.run()
        trained_s = time.perf_counter() - start
        bundle = learner.bundle()
        results = {
            actuation: evaluate_direct(
                bundle,
                episodes=config.evaluation_episodes,
                actuation=actuation,
                bridge_factory=bridge_factory,
                pool=pool,
                progress=progress,
            )
            for actuation in config.actuations
        }
    provenance = {
        "method": "imitation of scripted experts with on-policy relabelling",
        "command": command,
        "legion_ros": __version__,
        "config": asdict(config),
        "transitions": learner.size,
        "rounds": training.history,
        "mixture_purity": learner.purity(bundle.knowledge),
        "training_seconds": round(trained_s),
        "total_seconds": round(time.perf_counter() - start),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }
    success = {str(name): _scored(evaluation) for name, evaluation in results.items()}
    bundle = replace(bundle, manifest=replace(bundle.manifest, training=provenance, success=success))
    bundle.save(output)
    return bundle


class Language:
    """The training language: every sentence of every task, embedded once."""

    def __init__(self) -> None:
        encoder = InstructionEncoder()
        self.model = EmbeddingModel(encoder.name, encoder.size)
        self.tasks = all_tasks()
        self.refused_sentences = tuple(load_yaml(REFUSED_FILE)["sentences"])
        self.refused = encoder.encode(self.refused_sentences)
        self.embeddings = {task.name: encoder.encode(task.sentences) for task in self.tasks}
        groups = list(self.embeddings.values())
        self._all = torch.from_numpy(np.concatenate(groups))
        self._count = torch.tensor([len(group) for group in groups])
        self._start = torch.cumsum(self._count, 0) - self._count

    def sample(self, task: Tensor) -> Tensor:
        """The embedding (N, E) of a random sentence for each task index (N,)."""
        choice = (torch.rand(len(task)) * self._count[task]).long()
        return self._all[self._start[task] + choice]

    def canonical(self, task: Tensor) -> Tensor:
        """The embedding (N, E) of the description for each task index (N,)."""
        return self._all[self._start[task]]


class Learner:
    """The networks and the transitions gathered so far."""

    def __init__(self, config: TrainConfig, language: Language, spec: ObservationSpec, first: Float32) -> None:
        self._config, self._language, self._spec = config, language, spec
        scale = first.std(axis=0)
        # A field that never moves, such as the second object's, keeps its unit.
        scale = np.where(scale > 0, np.maximum(scale, LEAST_SCALE), 1).astype(np.float32)
        self.network = PolicyNetwork(first.mean(axis=0), scale, language.model.size)
        self._observations, self._next = torch.empty(0, spec.size), torch.empty(0, spec.size)
        self._actions, self._labels = torch.empty(0, 4), torch.empty(0, 4)
        self._task = torch.empty(0, dtype=torch.long)

    @property
    def size(self) -> int:
        """Number of transitions."""
        return len(self._task)

    def add(self, task: int, demonstrations: Demonstrations) -> None:
        """Keep the transitions of the task with that index."""
        normalise, new = self.network.normalise, demonstrations
        self._observations = torch.cat((self._observations, normalise(torch.from_numpy(new.observations))))
        self._next = torch.cat((self._next, normalise(torch.from_numpy(new.next_observations))))
        self._actions = torch.cat((self._actions, torch.from_numpy(new.actions)))
        self._labels = torch.cat((self._labels, torch.from_numpy(new.labels)))
        self._task = torch.cat((self._task, torch.full((len(new.actions),), task)))

    def learn_to_infer(self, steps: int, progress: bool) -> float:
        """Update the encoder and its decoders; returns the loss of the last tenth of the steps."""
        return self._descend(self.network.encoder, self._inference_loss, steps, "encoder", progress)

    def learn_to_act(self, steps: int, progress: bool) -> float:
        """Update the actor on latents of the present encoder; returns the loss of the last tenth of the steps."""
        with torch.inference_mode():
            parts = zip(torch.split(self._observations, 8192), torch.split(self._task, 8192), strict=True)
            encoded = [self.network.encoder(x, self._language.sample(task)) for x, task in parts]
        mu, log_var = (torch.cat(column).clone() for column in zip(*encoded, strict=True))

        def loss(index: Tensor) -> Tensor:
            mean, _ = self.network.actor(self._observations[index], _sampled(mu[index], log_var[index]))
            error = torch.tanh(mean) - self._labels[index]
            return error.abs().mean() + self._config.squared_weight * error.square().mean()

        return self._descend(self.network.actor, loss, steps, "actor", progress)

    def bundle(self) -> PolicyBundle:
        """The frozen policy as it is now, with the mixture fitted on its latents."""
        means, latents, names = self._latents()
        knowledge = fit_knowledge(latents, names, self._config.seed)
        manifest = Manifest(
            observation=self._spec.fields,
            embedding=self._language.model,
            tasks=self._language.tasks,
            components=knowledge.tasks,
            familiar_log_likelihood=float(np.quantile(knowledge.log_likelihood(means), UNFAMILIAR_SHARE)),
            refused=self._language.refused_sentences,
        )
        language = self._language
        return PolicyBundle(manifest, self.network.weights(), knowledge, language.embeddings, language.refused)

    def purity(self, knowledge: KnowledgeSpace) -> float:
        """The share of latents whose component of `knowledge` stands for their own task."""
        _, latents, names = self._latents()
        return knowledge.purity(latents, names)

    def _inference_loss(self, index: Tensor) -> Tensor:
        """LEGION's: half the squared error of the next observation, that of the context, and the divergence.

        The context is the task's canonical description, whatever phrasing went in: z means the task, not the words.
        """
        x, task, encoder = self._observations[index], self._task[index], self.network.encoder
        mu, log_var = encoder(x, self._language.sample(task))
        z = _sampled(mu, log_var)
        state = functional.mse_loss(
            encoder.decoder_state(torch.cat((x, self._actions[index], z), -1)), self._next[index]
        )
        context = (encoder.decoder_context(z) - self._language.canonical(task)).square().sum(-1).mean()
        divergence = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
        loss: Tensor = 0.5 * state + context + self._config.kl_weight * divergence
        return loss

    def _descend(
        self,
        module: torch.nn.Module,
        loss_of: Callable[[Tensor], Tensor],
        steps: int,
        title: str,
        progress: bool,
    ) -> float:
        """Adam along a cosine on batches drawn from all transitions."""
        optimizer = torch.optim.Adam(module.parameters(), self._config.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, self._config.learning_rate * FINAL_RATE)
        losses = np.empty(steps)
        for step in tqdm(range(steps), desc=title, disable=not progress, leave=False):
            loss = loss_of(torch.randint(self.size, (self._config.batch,)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses[step] = loss.item()
        return float(losses[-max(1, steps // 10) :].mean())

    def _latents(self) -> tuple[Float32, Float32, list[str]]:
        """For evenly spaced transitions: mean and sample (N, D) of what the encoder infers, and the task's name."""
        count = min(self._config.mixture_latents, self.size)
        index = torch.linspace(0, self.size - 1, count).long()
        noise = torch.Generator().manual_seed(self._config.seed)
        with torch.inference_mode():
            mu, log_var = self.network.encoder(self._observations[index], self._language.canonical(self._task[index]))
            z = mu + torch.exp(0.5 * log_var) * torch.randn(mu.shape, generator=noise)
        return mu.numpy(), z.numpy(), [self._language.tasks[i].name for i in self._task[index]]


class _Training:
    """The rounds: gather, learn, and let the learner itself lead to the next states."""

    def __init__(
        self,
        config: TrainConfig,
        language: Language,
        pool: Executor,
        bridge_factory: BridgeFactory | None,
        progress: bool,
    ) -> None:
        self._config, self._language, self._pool = config, language, pool
        self._bridge_factory, self._progress = bridge_factory, progress
        self._spec = ObservationSpec()
        self._seeds = iter(np.random.default_rng(config.seed).permutation(EVALUATION_SEED_BASE).tolist())
        self.history: list[dict[str, Any]] = []

    def run(self) -> Learner:
        """All rounds."""
        config = self._config
        gathered = self._gather(config.demonstrations, None)
        first = np.concatenate([part.observations for _, part in gathered])
        learner = Learner(config, self._language, self._spec, first)
        self._learn(learner, gathered, config.encoder_steps[0], config.actor_steps[0])
        for _ in range(config.rounds):
            gathered = self._gather(config.relabelled, learner.bundle())
            self._learn(learner, gathered, config.encoder_steps[1], config.actor_steps[1])
        return learner

    def _gather(self, episodes: int, bundle: PolicyBundle | None) -> list[tuple[int, Demonstrations]]:
        """New episodes of every task in every actuation: of the noisy experts, or of `bundle`."""
        title, noise = ("demonstrations", self._config.noise) if bundle is None else ("relabelling", None)
        jobs = [
            (index, Rollout(task.name, actuation, seeds, self._spec, noise, bundle, self._bridge_factory))
            for actuation in self._config.actuations
            for index, task in enumerate(self._language.tasks)
            for seeds in chunks((next(self._seeds) for _ in range(episodes)), EPISODES_A_JOB)
        ]
        results = run_jobs(self._pool, collect, [job for _, job in jobs], title, self._progress)
        return [(index, part) for (index, _), part in zip(jobs, results, strict=True)]

    def _learn(
        self, learner: Learner, gathered: list[tuple[int, Demonstrations]], encoder_steps: int, actor_steps: int
    ) -> None:
        names = [task.name for task in self._language.tasks]
        episodes, successes = Counter[str](), Counter[str]()
        for index, part in gathered:
            learner.add(index, part)
            episodes[names[index]] += part.episodes
            successes[names[index]] += part.successes
        summary = {
            "success_of_who_acted": {name: round(successes[name] / episodes[name], 3) for name in names},
            "transitions": learner.size,
            "encoder_loss": round(learner.learn_to_infer(encoder_steps, self._progress), 5),
            "actor_loss": round(learner.learn_to_act(actor_steps, self._progress), 5),
        }
        self.history.append(summary)
        if self._progress:
            tqdm.write(_told(summary, len(self.history) - 1, self._config.rounds))


def _sampled(mu: Tensor, log_var: Tensor) -> Tensor:
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)


def _told(summary: dict[str, Any], index: int, rounds: int) -> str:
    """One line about a round."""
    success = summary["success_of_who_acted"]
    worst = min(success, key=success.__getitem__)
    return (
        f"round {index} of {rounds}: {'policy' if index else 'noisy experts'} succeeded in "
        f"{np.mean(list(success.values())):.3f} of the episodes (least {worst}: {success[worst]:.3f}), "
        f"{summary['transitions']} transitions, actor loss {summary['actor_loss']:.4f}"
    )


def _scored(evaluation: Evaluation) -> dict[str, Any]:
    return {
        **evaluation.settings,
        "mean": round(evaluation.mean_success, 4),
        "worst": round(evaluation.worst_success, 4),
        "tasks": {task.name: round(task.success, 4) for task in evaluation.tasks},
    }
