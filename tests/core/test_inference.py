"""The numpy forward pass against the torch modules."""

from __future__ import annotations

import numpy as np
import pytest

from legion_core.bundle import PolicyBundle
from legion_core.errors import ConfigurationError
from legion_core.inference import Architecture, PolicyForward

torch = pytest.importorskip("torch")

from legion_core.networks import PolicyNetwork  # noqa: E402


@pytest.fixture
def network(random_bundle: PolicyBundle) -> PolicyNetwork:
    weights = random_bundle.weights
    network = PolicyNetwork(weights["observation_mean"], weights["observation_scale"], 384)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()}, strict=False)
    return network


def test_numpy_equals_torch_for_every_task(random_bundle: PolicyBundle, network: PolicyNetwork) -> None:
    forward = PolicyForward(random_bundle.weights, random_bundle.knowledge)
    rng = np.random.default_rng(1)
    for task in random_bundle.task_names:
        embedding = random_bundle.embedding(task)
        forward.condition(embedding)
        for observation in rng.normal(size=(20, 13)).astype(np.float32):
            forward.observation[:] = observation
            forward.step()
            with torch.inference_mode():
                action, latent = network(torch.as_tensor(observation)[None], torch.as_tensor(embedding)[None])
            np.testing.assert_allclose(forward.action, action[0].numpy(), atol=2e-5)
            np.testing.assert_allclose(forward.latent, latent[0].numpy(), atol=2e-5)
            np.testing.assert_allclose(forward.log_joint, random_bundle.knowledge.log_joint(forward.latent), rtol=1e-9)


def test_the_bundle_weights_are_not_touched(random_bundle: PolicyBundle) -> None:
    before = {name: array.copy() for name, array in random_bundle.weights.items()}
    forward = PolicyForward(random_bundle.weights, random_bundle.knowledge)
    forward.condition(random_bundle.embedding("push"))
    forward.observation[:] = 1
    forward.step()
    for name, array in before.items():
        np.testing.assert_array_equal(random_bundle.weights[name], array)


@pytest.mark.parametrize("name", ["latent", "encoder_width", "actor_width"])
def test_a_width_must_be_positive(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Architecture(**{name: 0})
