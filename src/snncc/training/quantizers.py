# SPDX-License-Identifier: Apache-2.0
"""What quantisation-aware training computes forward, and the gradients that it passes back instead of zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class LearnedStep(torch.autograd.Function):
    """y = s clip(floor(v/s + 1/2), 0, Q) with a learned step s (LSQ, arXiv:1902.08153).

    dL/dv passes where 0 < v/s < Q. dy/ds = floor(v/s + 1/2) - v/s there, 0 below and Q above; the sum over all
    entries is scaled by g = 1 / sqrt(N Q).
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, step: Tensor, levels: int, scale: float) -> Tensor:
        """v: any shape, step: one value."""
        ratio = v / step
        level = torch.floor(ratio + 0.5).clamp(0, levels)
        ctx.save_for_backward(ratio, level)
        ctx.levels, ctx.scale = levels, scale
        return level * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The straight-through gradient of v and the scaled gradient of the step."""
        (grad,) = grads
        ratio, level = ctx.saved_tensors
        inside = (ratio > 0) & (ratio < ctx.levels)
        slope = torch.where(inside, level - ratio, level)
        return grad * inside, (grad * slope).sum().reshape(()) * ctx.scale, None, None


class Ternary(torch.autograd.Function):
    """w -> sign(w) where |w| > 0.7 mean |w|, else 0, the mean over the tensor (doi:10.3389/fnins.2024.1449020).

    The gradient passes where |w| <= 1.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        """Any shape."""
        ctx.save_for_backward(weight)
        return ternary(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The masked straight-through gradient."""
        (weight,) = ctx.saved_tensors
        grad: Tensor = grads[0] * (weight.abs() <= 1)
        return grad


def ternary(weight: Tensor) -> Tensor:
    """The ternary weights themselves."""
    return torch.sign(weight) * (weight.abs() > 0.7 * weight.abs().mean())


class LevelRelu(torch.autograd.Function):
    """y = clip(floor(2^k x + 1/2), 0, levels) / 2^k, k fixed (doi:10.3389/fnins.2024.1449020).

    Straight through: the gradient is that of clip(x, 0, levels / 2^k).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: float, levels: int | None) -> Tensor:
        """Any shape; unit = 2^k."""
        top = None if levels is None else levels / unit
        ctx.save_for_backward((x > 0) if top is None else (x > 0) & (x < top))
        return torch.floor(x * unit + 0.5).clamp(0, levels) / unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The straight-through gradient."""
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None
