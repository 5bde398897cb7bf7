"""LEGION's networks in torch, with the published sizes, for training; deployment runs them in numpy (inference.py)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from legion_core.inference import ACTION_SIZE, LOG_STD_RANGE, Architecture
from legion_core.spaces import Float32

Layer = Callable[[int, int], nn.Module]
"""A fully connected layer of torch's own kind: inputs, outputs."""


class TaskInferenceEncoder(nn.Module):
    """q(z | observation, embedding): three ReLU layers, then the mean and log variance of the latent.

    Its two decoders, needed in training only, make z hold the task and the motion: z -> embedding and
    [observation, action, z] -> next observation.
    """

    def __init__(
        self, observation: int, embedding: int, architecture: Architecture | None = None, layer: Layer = nn.Linear
    ) -> None:
        super().__init__()
        architecture = architecture or Architecture()
        width, latent = architecture.encoder_width, architecture.latent
        self.trunk = _relu_layers(observation + embedding, width, layer)
        self.mu_latent = layer(width, latent)
        self.log_var_latent = layer(width, latent)
        self.decoder_context = nn.Sequential(*_relu_layers(latent, width, layer), layer(width, embedding), nn.Tanh())
        self.decoder_state = nn.Sequential(
            *_relu_layers(observation + ACTION_SIZE + latent, width, layer), layer(width, observation)
        )

    def forward(self, observation: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log variance, both (N, latent), of normalised observations (N, O) and embeddings (N, E)."""
        h = self.trunk(torch.cat((observation, embedding), dim=-1))
        return self.mu_latent(h), self.log_var_latent(h)


class Actor(nn.Module):
    """The policy on [observation, z]; the action of a frozen policy is tanh(mean)."""

    def __init__(self, observation: int, architecture: Architecture | None = None, layer: Layer = nn.Linear) -> None:
        super().__init__()
        architecture = architecture or Architecture()
        width = architecture.actor_width
        layers: list[nn.Module] = [layer(observation + architecture.latent, width), nn.LayerNorm(width), nn.Tanh()]
        for _ in range(3):
            layers += [layer(width, width), nn.LeakyReLU(inplace=True)]
        self.model = nn.Sequential(*layers, layer(width, 2 * ACTION_SIZE))

    def forward(self, observation: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before the tanh, both (N, 4), of normalised observations and latents."""
        mean, log_std = self.model(torch.cat((observation, latent), dim=-1)).chunk(2, dim=-1)
        low, high = LOG_STD_RANGE
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)


class Critics(nn.Module):
    """Two independent estimates of the soft value of an action: [observation, action, z] -> Q."""

    def __init__(self, observation: int, architecture: Architecture | None = None, layer: Layer = nn.Linear) -> None:
        super().__init__()
        architecture = architecture or Architecture()
        inputs, width = observation + ACTION_SIZE + architecture.latent, architecture.actor_width
        self.first = nn.Sequential(*_relu_layers(inputs, width, layer), layer(width, 1))
        self.second = nn.Sequential(*_relu_layers(inputs, width, layer), layer(width, 1))

    def forward(self, observation: Tensor, action: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Both values (N,) of normalised observations, actions and latents."""
        x = torch.cat((observation, action, latent), dim=-1)
        return self.first(x).squeeze(-1), self.second(x).squeeze(-1)


class PolicyNetwork(nn.Module):
    """Encoder and actor behind one normalisation of the observation."""

    observation_mean: Tensor
    observation_scale: Tensor

    def __init__(
        self,
        mean: Float32,
        scale: Float32,
        embedding: int,
        architecture: Architecture | None = None,
        layer: Layer = nn.Linear,
    ) -> None:
        super().__init__()
        self.register_buffer("observation_mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("observation_scale", torch.as_tensor(scale, dtype=torch.float32))
        self.encoder = TaskInferenceEncoder(len(mean), embedding, architecture, layer)
        self.actor = Actor(len(mean), architecture, layer)

    def normalise(self, observation: Tensor) -> Tensor:
        """(observation - mean) / scale, per field."""
        return (observation - self.observation_mean) / self.observation_scale

    def forward(self, observation: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """The frozen policy: action tanh(mean) (N, 4) and latent mu (N, latent) of raw observations (N, O)."""
        x = self.normalise(observation)
        mu, _ = self.encoder(x, embedding)
        mean, _ = self.actor(x, mu)
        return torch.tanh(mean), mu

    def weights(self) -> dict[str, Float32]:
        """What a bundle keeps, by parameter name: everything but the decoders."""
        return {
            name: tensor.detach().cpu().numpy().copy()
            for name, tensor in self.state_dict().items()
            if ".decoder_" not in name
        }


def _relu_layers(inputs: int, width: int, layer: Layer) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (inputs, width, width):
        layers += [layer(size, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
