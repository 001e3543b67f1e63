# SPDX-License-Identifier: Apache-2.0
"""Spikes for an input over T steps in torch. The equations stand in `neurons.encoder.step`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from snncc.neurons.random import counters, uniform


def poisson_series(
    x: Tensor,
    scale: Tensor,
    gates: Sequence[float],
    *,
    key: int,
    samples: int,
    axis: int,
    first_sample: int = 0,
    first_step: int = 0,
) -> Tensor:
    """(T, N, ...): a spike of amplitude `scale` and the sign of x with probability |x| / scale while the gate is on."""
    streams = counters(x, key, samples=samples, first_sample=first_sample, axis=axis)
    spikes = [
        (uniform(streams, first_step + t, x) * scale < x.abs()).to(x.dtype) * gate for t, gate in enumerate(gates)
    ]
    return torch.stack(spikes) * (x.sign() * scale)


def interval_series(x: Tensor, scale: Tensor, divisors: Sequence[float], *, phase: float) -> Tensor:
    """(T, N, ...): spikes at fixed intervals, floor(D(t) p + phase) of them up to t; divisors: D before, then D(t)."""
    p = (x.abs() / torch.where(scale > 0, scale, 1)).clamp(max=1)
    counts = torch.stack([torch.floor(d * p + phase) for d in divisors])
    return torch.diff(counts, dim=0) * (x.sign() * scale)
