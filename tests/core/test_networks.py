"""LEGION's published sizes and layout."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from legion_core.inference import Architecture, weight_shapes  # noqa: E402
from legion_core.networks import LOG_STD_RANGE, Actor, PolicyNetwork, TaskInferenceEncoder  # noqa: E402

OBSERVATION, EMBEDDING = 13, 384


def test_published_actor_layout() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in Actor(12).state_dict().items()}
    assert shapes["model.0.weight"] == (300, 22)
    assert shapes["model.1.weight"] == (300,)
    assert [shapes[f"model.{i}.weight"] for i in (3, 5, 7)] == [(300, 300)] * 3
    assert shapes["model.9.weight"] == (8, 300)
    assert len(shapes) == 12


def test_published_encoder_layout() -> None:
    encoder = TaskInferenceEncoder(12, 768)
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    assert shapes["trunk.0.weight"] == (400, 780)
    assert shapes["mu_latent.weight"] == shapes["log_var_latent.weight"] == (10, 400)
    assert encoder.decoder_context(torch.zeros(2, 10)).shape == (2, 768)
    assert encoder.decoder_state(torch.zeros(2, 12 + 4 + 10)).shape == (2, 12)


def test_the_bundle_contract_names_every_weight_with_its_shape() -> None:
    network = PolicyNetwork(np.zeros(OBSERVATION, np.float32), np.ones(OBSERVATION, np.float32), EMBEDDING)
    shapes = {name: array.shape for name, array in network.weights().items()}
    assert shapes == weight_shapes(Architecture(), OBSERVATION, EMBEDDING)


def test_log_standard_deviation_stays_in_its_range() -> None:
    low, high = LOG_STD_RANGE
    _, log_std = Actor(OBSERVATION)(torch.full((4, OBSERVATION), 1e6), torch.full((4, 10), -1e6))
    assert (log_std >= low).all() and (log_std <= high).all()
