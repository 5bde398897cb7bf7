"""The networks' forward pass in numpy: what a frozen policy needs, without torch.

A weight has the name and shape of the torch parameter it comes from (networks.py, which keeps the published
layout); `weight_shapes` is the contract between the two and the bundle file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from legion_core.config import require
from legion_core.knowledge import KnowledgeSpace
from legion_core.spaces import ACTION_FIELDS, Float32, Vector

LAYER_NORM_EPS = 1e-5
LEAKY_SLOPE = np.full((), 0.01, np.float32)
ACTION_SIZE = len(ACTION_FIELDS)
LOG_STD_RANGE = (-20.0, 2.0)
"""Of the logarithm of the action's standard deviation, before the tanh."""
TRUNK_LAYERS = (0, 2, 4)
"""Indices of the linear layers in the encoder's trunk; ReLU lies between and after them."""
ACTOR_LAYERS = (3, 5, 7)
"""Indices of the actor's linear layers that a LeakyReLU follows."""


@dataclass(frozen=True)
class Architecture:
    """Layer widths; the defaults are LEGION's published sizes."""

    latent: int = 10
    encoder_width: int = 400
    actor_width: int = 300

    def __post_init__(self) -> None:
        for name in ("latent", "encoder_width", "actor_width"):
            require(getattr(self, name) > 0, name, getattr(self, name), "> 0")


def weight_shapes(architecture: Architecture, observation: int, embedding: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in `weights.safetensors` for these observation and embedding sizes."""
    latent, encoder, actor = architecture.latent, architecture.encoder_width, architecture.actor_width
    layers = {
        "encoder.trunk.0": (encoder, observation + embedding),
        "encoder.trunk.2": (encoder, encoder),
        "encoder.trunk.4": (encoder, encoder),
        "encoder.mu_latent": (latent, encoder),
        "encoder.log_var_latent": (latent, encoder),
        "actor.model.0": (actor, observation + latent),
        "actor.model.3": (actor, actor),
        "actor.model.5": (actor, actor),
        "actor.model.7": (actor, actor),
        "actor.model.9": (2 * ACTION_SIZE, actor),
    }
    shapes: dict[str, tuple[int, ...]] = {"observation_mean": (observation,), "observation_scale": (observation,)}
    for name, shape in layers.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    shapes["actor.model.1.weight"] = shapes["actor.model.1.bias"] = (actor,)
    return shapes


class Layer:
    """y = W x + b into a buffer of its own, with scratch space for the activation."""

    def __init__(self, weight: npt.ArrayLike, bias: npt.ArrayLike) -> None:
        rows, columns = np.shape(weight)
        # A tall matrix is faster column by column, a wide one row by row.
        self.weight: Float32 = np.array(weight, np.float32, order="F" if rows > columns else "C")
        self.bias: Float32 = np.ascontiguousarray(bias, np.float32)
        self._out = np.empty_like(self.bias)
        self._scratch = np.empty_like(self.bias)
        self._zeros = np.zeros_like(self.bias)

    def linear(self, x: Float32) -> Float32:
        """W x + b, a view of the buffer that the next call overwrites."""
        np.dot(self.weight, x, out=self._out)
        np.add(self._out, self.bias, out=self._out)
        return self._out

    def relu(self, x: Float32) -> Float32:
        """max(W x + b, 0), in the same buffer."""
        y = self.linear(x)
        np.maximum(y, self._zeros, out=y)
        return y

    def leaky_relu(self, x: Float32) -> Float32:
        """max(y, 0.01 y) with y = W x + b, in the same buffer."""
        y = self.linear(x)
        np.multiply(y, LEAKY_SLOPE, out=self._scratch)
        np.maximum(y, self._scratch, out=y)
        return y

    def norm_tanh(self, x: Float32, gain: Float32, shift: Float32) -> Float32:
        """tanh(gain y / sqrt(mean(y^2) + eps) + shift): LayerNorm of a layer whose rows are centred already."""
        y = self.linear(x)
        np.multiply(y, gain, out=self._scratch)
        np.multiply(self._scratch, np.float32(1 / sqrt(float(np.dot(y, y)) / y.size + LAYER_NORM_EPS)), out=y)
        np.add(y, shift, out=y)
        np.tanh(y, out=y)
        return y


class PolicyForward:
    """Encoder, mixture and actor for one observation at a time, in preallocated float32 buffers.

    Three things that are constant over an episode are folded into the first layers: the normalisation of the
    observation, the language embedding and the centring of the actor's LayerNorm.
    """

    def __init__(self, weights: Mapping[str, Float32], knowledge: KnowledgeSpace) -> None:
        size = weights["observation_mean"].size
        latent = knowledge.latent_size
        inverse_scale = 1 / weights["observation_scale"]
        shift = -weights["observation_mean"] * inverse_scale

        first = weights["encoder.trunk.0.weight"]
        self._language = np.ascontiguousarray(first[:, size:])
        self._language_bias = weights["encoder.trunk.0.bias"] + first[:, :size] @ shift
        self._encoder_first = Layer(first[:, :size] * inverse_scale, self._language_bias)
        self._trunk = [_layer(weights, f"encoder.trunk.{i}") for i in TRUNK_LAYERS[1:]]
        self._mu = _layer(weights, "encoder.mu_latent")

        entry = weights["actor.model.0.weight"]
        bias = weights["actor.model.0.bias"] + entry[:, :size] @ shift
        folded = np.hstack((entry[:, :size] * inverse_scale, entry[:, size:]))
        self._actor_first = Layer(folded - folded.mean(axis=0), bias - bias.mean())
        self._gain, self._shift = weights["actor.model.1.weight"], weights["actor.model.1.bias"]
        self._actor = [_layer(weights, f"actor.model.{i}") for i in ACTOR_LAYERS]
        self.hidden: Float32 = np.empty(0, np.float32)
        """The actor's last hidden layer in the last step, from which exploration takes the standard deviation."""
        # The lower half of the last layer is the log standard deviation, which a frozen policy does not use.
        self._mean = Layer(weights["actor.model.9.weight"][:ACTION_SIZE], weights["actor.model.9.bias"][:ACTION_SIZE])

        self._input = np.empty(size + latent, np.float32)
        self.observation: Float32 = self._input[:size]
        """Where the caller writes the next observation."""
        self.latent: Float32 = self._input[size:]
        """mu of the last step."""
        self.action: Float32 = np.empty(ACTION_SIZE, np.float32)
        self.log_joint: Vector = np.empty(len(knowledge.tasks))
        """log(w_k N(z; m_k, v_k)) of the last step."""
        self._natural, self._offset = knowledge.natural, knowledge.offset
        self._moments = np.empty(2 * latent)
        self._squares, self._firsts = self._moments[:latent], self._moments[latent:]

    def condition(self, embedding: Float32) -> None:
        """Make `embedding` the language input of the following steps."""
        self._encoder_first.bias = (self._language @ embedding + self._language_bias).astype(np.float32)

    def step(self) -> None:
        """Compute latent, log_joint and action from `observation`; all three are overwritten by the next step."""
        h = self._encoder_first.relu(self.observation)
        for layer in self._trunk:
            h = layer.relu(h)
        self.latent[:] = self._mu.linear(h)

        self._firsts[:] = self.latent
        np.multiply(self._firsts, self._firsts, out=self._squares)
        np.dot(self._natural, self._moments, out=self.log_joint)
        np.add(self.log_joint, self._offset, out=self.log_joint)

        h = self._actor_first.norm_tanh(self._input, self._gain, self._shift)
        for layer in self._actor:
            h = layer.leaky_relu(h)
        self.hidden = h
        np.tanh(self._mean.linear(h), out=self.action)


def _layer(weights: Mapping[str, Float32], name: str) -> Layer:
    return Layer(weights[f"{name}.weight"], weights[f"{name}.bias"])
