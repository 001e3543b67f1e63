# SPDX-License-Identifier: Apache-2.0
"""Quantisation in torch; codes are floats."""

from __future__ import annotations

import torch
from torch import Tensor


def quantize(x: Tensor, scale: Tensor, zero: Tensor, *, low: float, high: float) -> Tensor:
    """clamp(round(x / scale) + zero, low, high); halves round to even."""
    return (torch.round(x / scale) + zero).clamp(low, high)


def fake_quantize(x: Tensor, scale: Tensor, zero: Tensor, *, low: float, high: float) -> Tensor:
    """scale (q - zero), where q is the code of x."""
    return scale * (quantize(x, scale, zero, low=low, high=high) - zero)


def dynamic_scale(x: Tensor) -> Tensor:
    """The step of 256 codes over the range of x and 0; 1 where x is 0."""
    scale = (x.amax().clamp(min=0) - x.amin().clamp(max=0)) / 255
    return torch.where(scale > 0, scale, 1)


def dynamic_zero(x: Tensor) -> Tensor:
    """The code of 0."""
    return torch.round(-x.amin().clamp(max=0) / dynamic_scale(x)).clamp(0, 255)
