# SPDX-License-Identifier: Apache-2.0
"""Time in the emitted torch module: it contains the sources of those functions that it uses.

A *series* holds T steps one after the other in the batch axis, so that each layer is one call. `gates` are the
input schedule's gate at each step, `divisors` D(1), ..., D(T), their running sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def unfold(series: Tensor, timesteps: int, axis: int = 0) -> Tensor:
    """The steps of a series, (T, ...)."""
    return torch.unflatten(series, axis, (timesteps, -1)).movedim(axis, 0)


def fold(steps: Tensor, axis: int = 0) -> Tensor:
    """(T, ...) as a series."""
    return steps.movedim(0, axis).flatten(axis, axis + 1)


def spikes(scanned: tuple[Tensor, tuple[Tensor, Tensor]], axis: int = 0) -> Tensor:
    """What a neuron emits, as a series; its last potential and spike count are not needed."""
    return fold(scanned[0], axis)


def per_step(weights: Sequence[float], like: Tensor) -> Tensor:
    """One number per step, shaped to multiply (T, ...)."""
    return like.new_tensor(weights).reshape(-1, *[1] * (like.ndim - 1))


def at_every_step(x: Tensor, gates: Sequence[float]) -> Tensor:
    """(T, ...): the same current at every step while the input is on."""
    steps = x.unsqueeze(0)
    return steps * per_step(gates, steps)


def repeat(x: Tensor, timesteps: int, axis: int = 0) -> Tensor:
    """A series of T copies."""
    return x.repeat([timesteps if i == axis else 1 for i in range(x.ndim)])


def in_rows(x: Tensor, gates: Sequence[float], *, rows: int, rank: int, axis: int = 0) -> Tensor:
    """A value that the samples share as a series of that rank, with as many rows per step."""
    x = x.reshape([1] * (rank - x.ndim) + list(x.shape))
    return fold(at_every_step(x, gates), axis).repeat_interleave(rows, axis)


def row_gates(gates: Sequence[float], like: Tensor, *, rows: int, rank: int, axis: int = 0) -> Tensor | float:
    """What multiplies the constants of a layer: the gate of each row's step, or 1 if the input is always on."""
    if all(gates):
        return 1.0
    shape = [-1 if i == axis else 1 for i in range(rank)]
    return like.new_tensor(gates).repeat_interleave(rows).reshape(shape)


def mean(series: Tensor, divisors: Sequence[float], axis: int = 0, *, after: int = 0) -> Tensor:
    """The sum over all steps, divided by D(T); where there are more than `after` steps, without those up to it."""
    steps = unfold(series, len(divisors), axis)
    skipped = after if len(divisors) > after else 0
    total = torch.zeros_like(steps[0]) + steps[skipped:].sum(0)  # in the memory layout of one step
    return total / (divisors[-1] - (divisors[skipped - 1] if skipped else 0.0))


def running_sum(series: Tensor, timesteps: int, axis: int = 0) -> Tensor:
    """X[t] = x[1] + ... + x[t]."""
    return fold(unfold(series, timesteps, axis).cumsum(0), axis)


def running_mean(series: Tensor, divisors: Sequence[float], axis: int = 0) -> Tensor:
    """X[t] / D(t)."""
    totals = unfold(series, len(divisors), axis).cumsum(0)
    return fold(totals / per_step(divisors, totals), axis)


def differences(series: Tensor, timesteps: int, axis: int = 0) -> Tensor:
    """y[t] = G[t] - G[t-1] with G[0] = 0: the running sum of y is G."""
    g = unfold(series, timesteps, axis)
    return fold(torch.diff(g, dim=0, prepend=torch.zeros_like(g[:1])), axis)


def scaled_differences(series: Tensor, divisors: Sequence[float], axis: int = 0) -> Tensor:
    """y[t] = G[t] - G[t-1] with G[t] = D(t) f[t]: the running mean of y is f."""
    f = unfold(series, len(divisors), axis)
    return differences(fold(f * per_step(divisors, f), axis), len(divisors), axis)


def in_range(x: Tensor, low: float | None, high: float | None, *, nonzero: float = 0.0) -> Tensor:
    """The argument of an analog function, kept in its calibrated range and (a denominator) away from zero."""
    y = x if low is None and high is None else x.clamp(low, high)
    least = y.new_full((), nonzero).copysign(torch.where(y < 0, y, 1))
    return torch.where(y.abs() < nonzero, least, y) if nonzero else y


def as_rate(x: Tensor, like: Tensor) -> Tensor:
    """An index or truth value as a float."""
    return x if x.is_floating_point() else x.to(like.dtype)
