# SPDX-License-Identifier: Apache-2.0
"""Time in the emitted torch module of a network without an axis for samples: a series is (T, ...)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def unfold(series: Tensor, timesteps: int, axis: int = 0) -> Tensor:
    """The steps of a series, (T, ...): it has no batch axis that could hold them, so it is these steps."""
    return series


def fold(steps: Tensor, axis: int = 0) -> Tensor:
    """(T, ...) as a series: the same."""
    return steps


def each_step(function: Callable[..., Tensor], *series: Tensor | Sequence[float]) -> Tensor:
    """A function of one step, applied to every step."""
    return torch.stack([function(*values) for values in zip(*series, strict=True)])
