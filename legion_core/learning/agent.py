"""The LEGION agent: task inference (a variational autoencoder) upstream, soft actor-critic downstream.

One update follows the authors' losses and spends less on them: the constant language input is multiplied once a task
instead of once a transition, the encoder's trunk runs once for mean and variance and once for the observation and the
next one together, and no gradient is computed that nobody uses (`benchmarks/bench_update.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from legion_core.errors import ConfigurationError
from legion_core.knowledge import KnowledgeSpace
from legion_core.learning.dense import Dense, linear
from legion_core.learning.replay import Transitions
from legion_core.learning.settings import LifelongSettings
from legion_core.networks import Critics, PolicyNetwork
from legion_core.spaces import Float32

LOG_2 = math.log(2.0)
TEMPERATURE_WIDTH = 64
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Transitions as tensors on the agent's device; observations are normalised."""

    x: Tensor
    next_x: Tensor
    action: Tensor
    reward: Tensor
    done: Tensor
    label: Tensor
    task: Tensor
    one_hot: Tensor


class LegionAgent:
    """Networks, optimisers and the update.

    Args:
        mean, scale: of the observation's fields (O,).
        language: the canonical embedding of each task (T, E), which the context decoder is to return.
        device: `cpu`, or a GPU as torch names it.

    Raises:
        ConfigurationError: a device that is not there.
    """

    def __init__(
        self, settings: LifelongSettings, mean: Float32, scale: Float32, language: Float32, device: str, seed: int
    ) -> None:
        self.settings = settings
        self.device = _device(device)
        self._observation = len(mean)
        torch.manual_seed(seed)
        architecture = settings.architecture
        self.policy = PolicyNetwork(mean, scale, language.shape[1], architecture, Dense)
        self._first = cast(nn.Linear, self.policy.encoder.trunk[0])
        self._blind_unused_input()
        self.critics = Critics(len(mean), architecture, Dense)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.temperature: nn.Module = _Temperature(settings, len(language))
        for module in self._modules().values():
            module.to(self.device)
        self._canonical = torch.from_numpy(language).to(self.device)
        self._sentences = self._canonical
        self._generator = torch.Generator(self.device)
        self._prior: tuple[Tensor, ...] | None = None
        self.begin_stage(1)

    # -- what the trainer calls --------------------------------------------------------------------------------

    def begin_stage(self, updates: int) -> None:
        """Reset the optimisers, as LEGION does at a change of task, and the learning rate for so many updates."""
        self._horizon, self.stage_updates = max(updates, 1), 0
        self._optimisers = {
            name: torch.optim.Adam(list(module.parameters()), self.settings.learning_rate, fused=True)
            for name, module in self._learned().items()
        }

    def seed(self, seed: int) -> None:
        """All random numbers from here on follow from `seed`, so that a round can be repeated exactly."""
        self._generator.manual_seed(seed)

    def speak(self, sentences: Float32) -> None:
        """Use these embeddings (T, E), one sentence a task, in the updates that follow."""
        self._sentences = torch.from_numpy(sentences).to(self.device)

    def know(self, knowledge: KnowledgeSpace | None) -> None:
        """Draw latents towards the components of `knowledge` from here on, or towards N(0, I)."""
        if knowledge is None or self.settings.prior == "gaussian":
            self._prior = None
            return
        arrays = (np.log(knowledge.weights), knowledge.means, 1 / knowledge.variances, np.log(knowledge.variances))
        self._prior = tuple(torch.from_numpy(np.asarray(a, np.float32)).to(self.device) for a in arrays)

    def update(self, transitions: Transitions) -> Losses:
        """One update on transitions: imitation and soft actor-critic where due, the encoder where due.

        Returns the losses, detached, by name; those of parts that were not due are absent.
        """
        settings = self.settings
        self._set_rate()
        batch = self._batch(transitions)
        reinforced = self.stage_updates % settings.reinforcement_interval == 0 and settings.reinforcement_weight > 0
        losses = self._update_policy(batch, reinforced)
        if self.stage_updates % settings.encoder_interval == 0:
            losses |= self._update_encoder(batch)
        self.stage_updates += 1
        return losses

    def update_encoder(self, transitions: Transitions) -> Losses:
        """One update of the encoder and its decoders alone."""
        return self._update_encoder(self._batch(transitions))

    @torch.no_grad()
    def infer(self, transitions: Transitions) -> tuple[Float32, Float32]:
        """Mean and a sample (N, D) of the latent of transitions, given their tasks' descriptions."""
        batch = self._batch(transitions)
        self._sentences, spoken = self._canonical, self._sentences
        mu, log_var = self._encode(batch.x, batch.one_hot)
        self._sentences = spoken
        return mu.cpu().numpy(), self._sample(mu, log_var).cpu().numpy()

    def weights(self) -> dict[str, Float32]:
        """What a bundle keeps of the policy."""
        return self.policy.weights()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that the next update depends on, but for the settings, as arrays by name."""
        arrays = {
            f"{name}.{key}": tensor.detach().cpu().numpy().copy()
            for name, module in self._modules().items()
            for key, tensor in module.state_dict().items()
        }
        for name, optimiser in self._optimisers.items():
            for index, entries in optimiser.state_dict()["state"].items():
                for key, value in entries.items():
                    arrays[f"optimiser.{name}.{index}.{key}"] = value.detach().cpu().numpy().copy()
        arrays["stage_updates"] = np.array([self.stage_updates, self._horizon], np.int64)
        return arrays

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from the `state` of an agent with the same settings.

        Raises:
            ConfigurationError: the arrays are those of another agent.
        """
        count, horizon = (int(value) for value in arrays["stage_updates"])
        self.begin_stage(horizon)
        self.stage_updates = count
        try:
            for name, module in self._modules().items():
                found = {k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(f"{name}.")}
                module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in found.items()})
        except RuntimeError as error:
            raise ConfigurationError(f"this checkpoint is of other networks: {' '.join(str(error).split())}") from error
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(
                {"state": _nested(arrays, f"optimiser.{name}."), "param_groups": optimiser.state_dict()["param_groups"]}
            )

    # -- the update --------------------------------------------------------------------------------------------

    def _update_policy(self, batch: Batch, reinforced: bool) -> Losses:
        """Critics and temperature where reinforced, and the actor."""
        losses: Losses = {}
        with torch.no_grad():
            both = torch.cat((batch.x, batch.next_x)) if reinforced else batch.x
            hot = torch.cat((batch.one_hot, batch.one_hot)) if reinforced else batch.one_hot
            latent = self._sample(*self._encode(both, hot))
        z = latent[: len(batch.x)]
        if reinforced:
            losses["critic"] = self._update_critics(batch, z, latent[len(batch.x) :])
        mean, log_std = self.policy.actor(batch.x, z)
        loss, parts = self._imitation(mean, batch.label)
        if reinforced:
            action, log_prob = self._squash(mean, log_std)
            self.critics.requires_grad_(False)
            value = torch.minimum(*self.critics(batch.x, action, z))
            self.critics.requires_grad_(True)
            log_alpha = self.temperature(batch.one_hot, z)
            soft = log_alpha.exp().detach() * log_prob - value
            weight: Tensor | float = self.settings.reinforcement_weight
            if self.settings.normalise_value:
                weight = weight / value.detach().abs().mean().clamp(min=1e-3)
            loss = loss + weight * soft.mean()
            parts["actor"] = soft.mean()
            surplus = (log_prob + self.settings.target_entropy).detach()
            parts["temperature"] = -(log_alpha * surplus).mean()
            self._step("temperature", parts["temperature"])
        if loss.requires_grad:
            self._step("actor", loss)
        return losses | {name: part.detach() for name, part in parts.items()}

    def _update_critics(self, batch: Batch, z: Tensor, next_z: Tensor) -> Tensor:
        """One step towards the soft Bellman target, and of the targets towards the critics; returns the loss."""
        with torch.no_grad():
            next_action, log_prob = self._squash(*self.policy.actor(batch.next_x, next_z))
            value = torch.minimum(*self.targets(batch.next_x, next_action, next_z))
            value -= self.temperature(batch.one_hot, next_z).exp() * log_prob
            target = batch.reward + self.settings.discount * (1 - batch.done) * value
        first, second = self.critics(batch.x, batch.action, z)
        loss = functional.mse_loss(first, target) + functional.mse_loss(second, target)
        self._step("critics", loss)
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.targets.parameters()), list(self.critics.parameters()), self.settings.target_rate
            )
        return loss.detach()

    def _imitation(self, mean: Tensor, label: Tensor) -> tuple[Tensor, Losses]:
        """The error to the expert's action, over the transitions that have one; nothing where none has."""
        known = ~torch.isnan(label[:, 0])
        if self.settings.imitation_weight == 0 or not bool(known.any()):
            return torch.zeros((), device=self.device), {}
        if not bool(known.all()):
            mean, label = mean[known], label[known]
        error = torch.tanh(mean) - label
        loss = error.abs().mean() + self.settings.squared_weight * error.square().mean()
        return self.settings.imitation_weight * loss, {"imitation": loss}

    def _update_encoder(self, batch: Batch) -> Losses:
        """LEGION's loss: next observation, context, and the divergence from the prior."""
        settings, encoder = self.settings, self.policy.encoder
        mu, log_var = self._encode(batch.x, batch.one_hot)
        z = self._sample(mu, log_var)
        state = functional.mse_loss(encoder.decoder_state(torch.cat((batch.x, batch.action, z), -1)), batch.next_x)
        # z means the task, not the words: whatever phrasing went in, the description comes out
        context = (encoder.decoder_context(z) - self._canonical[batch.task]).square().sum(-1).mean()
        divergence = self._divergence(mu, log_var, z)
        self._step(
            "encoder",
            settings.state_weight * state + settings.context_weight * context + settings.kl_weight * divergence,
        )
        parts = {"encoder_state": state, "encoder_context": context, "encoder_kl": divergence}
        return {name: part.detach() for name, part in parts.items()}

    def _divergence(self, mu: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
        """KL(q || N(0, I)), or the components' KL(q || N_k) weighted with their responsibility for z; the mean."""
        variance = log_var.exp()
        if self._prior is None:
            return 0.5 * (mu.square() + variance - 1 - log_var).sum(-1).mean()
        log_weights, means, precisions, log_variances = self._prior
        with torch.no_grad():
            distance = (z.unsqueeze(1) - means).square() * precisions + log_variances
            responsibilities = torch.softmax(log_weights - 0.5 * distance.sum(-1), dim=-1)
        squares = ((mu.unsqueeze(1) - means).square() + variance.unsqueeze(1)) * precisions + log_variances
        divergences = 0.5 * (squares.sum(-1) - (1 + log_var).sum(-1, keepdim=True))
        return (responsibilities * divergences).sum(-1).mean()

    # -- its parts ---------------------------------------------------------------------------------------------

    def _encode(self, x: Tensor, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (N, D): the encoder with its language input multiplied once a task."""
        encoder, size, first = self.policy.encoder, self._observation, self._first
        words = self._sentences @ first.weight[:, size:].t()
        folded = torch.cat((first.weight[:, :size], words.t()), dim=1)
        hidden = linear(torch.cat((x, one_hot), -1), folded, first.bias)
        hidden = encoder.trunk[1:](hidden)
        return encoder.mu_latent(hidden), encoder.log_var_latent(hidden)

    def _sample(self, mu: Tensor, log_var: Tensor) -> Tensor:
        return mu + torch.exp(0.5 * log_var) * self._noise(mu)

    def _squash(self, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
        """An action tanh(u) with u ~ N(mean, std), and its log-probability (SAC, appendix C, in the stable form)."""
        noise = self._noise(mean)
        u = mean + log_std.exp() * noise
        log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        log_prob = (log_normal - 2 * (LOG_2 - u - functional.softplus(-2 * u))).sum(-1)
        return torch.tanh(u), log_prob

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator, device=self.device)

    def _step(self, name: str, loss: Tensor) -> None:
        optimiser = self._optimisers[name]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _set_rate(self) -> None:
        settings = self.settings
        if settings.final_rate == 1:
            return
        progress = min(self.stage_updates / self._horizon, 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        for optimiser in self._optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * (settings.final_rate + (1 - settings.final_rate) * cosine)

    def _batch(self, rows: Transitions) -> Batch:
        def tensor(array: npt.NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(self.device)

        task = tensor(rows.task)
        return Batch(
            self.policy.normalise(tensor(rows.observation)),
            self.policy.normalise(tensor(rows.next_observation)),
            tensor(rows.action),
            tensor(rows.reward),
            tensor(rows.done),
            tensor(rows.label),
            task,
            functional.one_hot(task, len(self._canonical)).float(),
        )

    def _blind_unused_input(self) -> None:
        """Zero the first layer's weights for an input that the encoder is not to use, and keep them zero."""
        unused = {
            "context_obs": None,
            "context": slice(0, self._observation),
            "obs": slice(self._observation, None),
        }[self.settings.encoder_input]
        if unused is None:
            return
        weight = self._first.weight
        mask = torch.ones_like(weight)
        mask[:, unused] = 0
        with torch.no_grad():
            weight.mul_(mask)
        weight.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient * mask.to(gradient.device)
        )

    def _learned(self) -> dict[str, nn.Module]:
        """What an optimiser moves, by the optimiser's name."""
        return {
            "encoder": self.policy.encoder,
            "actor": self.policy.actor,
            "critics": self.critics,
            "temperature": self.temperature,
        }

    def _modules(self) -> dict[str, nn.Module]:
        """What a checkpoint keeps."""
        return {
            "policy": self.policy,
            "critics": self.critics,
            "targets": self.targets,
            "temperature": self.temperature,
        }


class _Temperature(nn.Module):
    """log alpha: one number a task, or a function of z."""

    def __init__(self, settings: LifelongSettings, tasks: int) -> None:
        super().__init__()
        start = math.log(settings.initial_temperature)
        self._of_latent = settings.temperature == "latent"
        if self._of_latent:
            last = nn.Linear(TEMPERATURE_WIDTH, 1)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, start)
            self.network = nn.Sequential(nn.Linear(settings.architecture.latent, TEMPERATURE_WIDTH), nn.ReLU(), last)
        else:
            self.log_alpha = nn.Parameter(torch.full((tasks, 1), start))

    def forward(self, one_hot: Tensor, z: Tensor) -> Tensor:
        """log alpha (N,) for tasks (N, T) and latents (N, D)."""
        value: Tensor = self.network(z) if self._of_latent else one_hot @ self.log_alpha
        return value.squeeze(-1)


def _device(name: str) -> torch.device:
    """The device of that name, checked to be there."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().splitlines()[0]
        available = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ConfigurationError(f"device = {name!r} is not there ({first}); here: {', '.join(available)}") from error
    return device


def _nested(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[int, dict[str, Tensor]]:
    """`prefix.<index>.<key>` entries as an optimiser's state."""
    result: dict[int, dict[str, Tensor]] = {}
    for name, index, key in _split(arrays, prefix):
        result.setdefault(index, {})[key] = torch.from_numpy(arrays[name].copy())
    return result


def _split(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Iterator[tuple[str, int, str]]:
    for name in arrays:
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".", 1)
            yield name, int(index), key
