"""One SAC + VAE update of the agent against the same update in plain eager PyTorch, written as LEGION's authors do.

Theirs runs the encoder's trunk twice (for mean and variance), for observation, next observation and again for the
encoder's own loss; multiplies the constant language embedding with every transition; computes the critics' gradient in
the actor's step; moves the targets parameter by parameter. Both take the same batches, in turns, in one process on one
thread; the figure is the median. A third column is this project's update without oneDNN: the arithmetic alone.
Run: python benchmarks/bench_update.py [--batch 512] [--turns 30] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from legion_core.inference import ACTION_SIZE
from legion_core.learning import dense
from legion_core.learning.agent import LegionAgent
from legion_core.learning.replay import Transitions
from legion_core.learning.settings import LifelongSettings
from legion_core.networks import Critics, PolicyNetwork

OBSERVATION, EMBEDDING, TASKS = 13, 384, 10


class PlainAgent:
    """The update as the authors' code spells it out."""

    def __init__(self, language: Tensor, settings: LifelongSettings) -> None:
        torch.manual_seed(0)
        self.settings, self.language = settings, language
        self.policy = PolicyNetwork(np.zeros(OBSERVATION, np.float32), np.ones(OBSERVATION, np.float32), EMBEDDING)
        self.critics = Critics(OBSERVATION)
        self.targets = deepcopy(self.critics)
        self.log_alpha = torch.nn.Parameter(torch.zeros(TASKS))
        rate = settings.learning_rate
        self.encoder_optimiser = torch.optim.Adam(self.policy.encoder.parameters(), rate)
        self.actor_optimiser = torch.optim.Adam(self.policy.actor.parameters(), rate)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), rate)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], rate)

    def encode(self, x: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        encoder, both = self.policy.encoder, torch.cat((x, self.language[task]), -1)
        return encoder.mu_latent(encoder.trunk(both)), encoder.log_var_latent(encoder.trunk(both))

    def sample(self, mu: Tensor, log_var: Tensor) -> Tensor:
        return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)

    def act(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.policy.actor(x, z)
        normal = torch.distributions.Normal(mean, log_std.exp())
        u = normal.rsample()
        action = torch.tanh(u)
        return action, (normal.log_prob(u) - torch.log(1 - action.square() + 1e-6)).sum(-1)

    def update(self, rows: Transitions) -> None:
        settings = self.settings
        x, next_x = torch.from_numpy(rows.observation), torch.from_numpy(rows.next_observation)
        action, task = torch.from_numpy(rows.action), torch.from_numpy(rows.task)
        alpha = self.log_alpha.exp().detach()[task]
        with torch.no_grad():
            z = self.sample(*self.encode(x, task))
            next_z = self.sample(*self.encode(next_x, task))
            next_action, log_prob = self.act(next_x, next_z)
            value = torch.min(*self.targets(next_x, next_action, next_z)) - alpha * log_prob
            target = torch.from_numpy(rows.reward) + settings.discount * (1 - torch.from_numpy(rows.done)) * value
        first, second = self.critics(x, action, z)
        loss = functional.mse_loss(first, target) + functional.mse_loss(second, target)
        step(self.critic_optimiser, loss)
        new_action, log_prob = self.act(x, z)
        loss = (alpha * log_prob - torch.min(*self.critics(x, new_action, z))).mean()
        step(self.actor_optimiser, loss)
        step(self.alpha_optimiser, -(self.log_alpha[task] * (log_prob - 4).detach()).mean())
        with torch.no_grad():
            for slow, fast in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                slow.copy_(settings.target_rate * fast + (1 - settings.target_rate) * slow)
        mu, log_var = self.encode(x, task)
        z = self.sample(mu, log_var)
        encoder = self.policy.encoder
        state = functional.mse_loss(encoder.decoder_state(torch.cat((x, action, z), -1)), next_x)
        context = (encoder.decoder_context(z) - self.language[task]).square().sum(-1).mean()
        divergence = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
        step(self.encoder_optimiser, 0.5 * state + context + settings.kl_weight * divergence)


def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimiser."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def random_rows(count: int) -> Transitions:
    """A batch without labels."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return Transitions(
        observation=normal(count, OBSERVATION),
        action=np.tanh(normal(count, ACTION_SIZE)),
        reward=normal(count),
        next_observation=normal(count, OBSERVATION),
        done=np.zeros(count, np.float32),
        label=np.full((count, ACTION_SIZE), np.nan, np.float32),
        task=rng.integers(TASKS, size=count),
        success=np.zeros(count, np.float32),
    )


def without_onednn(update: Callable[[Transitions], object]) -> Callable[[Transitions], object]:
    """The update with torch's own linear layers."""

    def run(rows: Transitions) -> object:
        available, dense.AVAILABLE = dense.AVAILABLE, False
        result = update(rows)
        dense.AVAILABLE = available
        return result

    return run


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=512, help="transitions of an update (512)")
    parser.add_argument("--turns", type=int, default=30, help="turns of each column (30)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = LifelongSettings(encoder_interval=1)
    language = np.random.default_rng(1).standard_normal((TASKS, EMBEDDING)).astype(np.float32) / EMBEDDING**0.5
    mean, scale = np.zeros(OBSERVATION, np.float32), np.ones(OBSERVATION, np.float32)
    ours = LegionAgent(settings, mean, scale, language, "cpu", 0)
    columns = {
        "plain eager PyTorch": PlainAgent(torch.from_numpy(language), settings).update,
        "this project, torch's linear layers": without_onednn(ours.update),
        "this project": ours.update,
    }
    rows = random_rows(arguments.batch)
    times: dict[str, list[float]] = {name: [] for name in columns}
    for turn in range(arguments.turns + 3):
        for name, update in columns.items():
            began = time.perf_counter()
            update(rows)
            if turn >= 3:
                times[name].append(1e3 * (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = medians["plain eager PyTorch"]
    print(f"{'one SAC + VAE update, batch ' + str(arguments.batch):40s}{'median ms':>10s}{'speed-up':>10s}")
    for name, median in medians.items():
        print(f"{name:40s}{median:10.1f}{plain / median:10.2f}")
    if arguments.output:
        arguments.output.write_text(json.dumps({"batch": arguments.batch, "median_ms": medians}, indent=2) + "\n")


if __name__ == "__main__":
    main()
