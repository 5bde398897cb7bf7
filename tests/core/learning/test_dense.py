"""The oneDNN layer gives what torch's own gives, forwards and backwards."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from legion_core.learning import dense  # noqa: E402


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 3, 5), (64, 13, 300), (512, 300, 8), (7, 400, 1)])
def test_values_and_gradients_are_those_of_a_linear_layer(rows: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    layer = dense.Dense(inputs, outputs)
    plain = torch.nn.Linear(inputs, outputs)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(rows, inputs)
    direction = torch.randn(rows, outputs)
    results = []
    for module in (layer, plain):
        entry = x.clone().requires_grad_()
        module(entry).backward(direction)
        results.append((module(x).detach(), entry.grad, module.weight.grad, module.bias.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_frozen_parameters_get_no_gradient_and_let_it_through() -> None:
    layer = dense.Dense(4, 3).requires_grad_(False)
    x = torch.randn(5, 4, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(5, 4))


def test_other_types_and_an_absent_operator_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = dense.Dense(4, 3)
    x = torch.randn(5, 4)
    expected = layer(x)
    torch.testing.assert_close(layer.double()(x.double()).float(), expected)
    layer.float()
    monkeypatch.setattr(dense, "AVAILABLE", False)
    torch.testing.assert_close(layer(x), expected)
