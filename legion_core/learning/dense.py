"""A fully connected layer that computes with oneDNN on a CPU: up to twice as fast as torch's default there.

torch multiplies float32 matrices with MKL, which reaches less than half of oneDNN's speed on AMD processors
(`benchmarks/bench_update.py`). torch ships oneDNN but does not offer it for float32, so this module calls its linear
operator and supplies the gradient. Where the operator is absent, or on a GPU, the layer is torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_MKLDNN = getattr(torch.ops, "mkldnn", None)
AVAILABLE = bool(torch.backends.mkldnn.is_available()) and hasattr(  # type: ignore[no-untyped-call]
    _MKLDNN, "_linear_pointwise"
)


class Dense(nn.Linear):
    """`torch.nn.Linear` with the same parameters, names, initialisation and results (up to rounding)."""

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b for x of shape (N, in): (N, out)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b for x of shape (N, in), W (out, in), b (out,): (N, out)."""
    if not AVAILABLE or x.device.type != "cpu" or x.dtype != torch.float32 or x.dim() != 2:
        return functional.linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if of_x else None,
            _product(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result: Tensor = _MKLDNN._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[union-attr]
    return result
