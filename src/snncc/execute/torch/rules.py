# SPDX-License-Identifier: Apache-2.0
"""Neurons with changing thresholds, and encoders, over T steps in torch. The emitted module contains those it uses.

As in `torch_neurons`, `current` is (T, N, *shape) and is overwritten, and `state` is what an earlier call returned.
The equations stand in `snncc.neurons.threshold_rules` and `snncc.neurons.encoders`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from snncc.neurons.random import counters, uniform

RuleState = tuple[Tensor, Tensor]


def largest(x: Tensor, samples: int, axis: int) -> Tensor:
    """The maximum of each sample, (samples,); the samples lie on `axis`."""
    return x.movedim(axis, 0).reshape(samples, -1).amax(1)


def along(c: Tensor, like: Tensor, axis: int) -> Tensor:
    """One number per sample, shaped to multiply a value whose samples lie on `axis`."""
    rows = c.repeat_interleave(like.shape[axis] // len(c))
    return rows.reshape([-1 if i == axis else 1 for i in range(like.ndim)])


def adapted(c: Tensor, x: Tensor, threshold: Tensor, *, eta: float, rule: str, axis: int) -> Tensor:
    """The factors c of the threshold, one per sample or one for all, after the current x of one step."""
    alive = threshold > 0
    m = largest(torch.where(alive, x / torch.where(alive, threshold, 1), -torch.inf), len(c), axis)
    return torch.maximum(c, m).clamp(max=1) if rule == "running_max" else torch.where((m > eta) & (m < 1), m, c)


def adaptive_if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    eta: float,
    rule: str,
    adapt: bool,
    subtract: str,
    samples: int,
    axis: int,
    state: RuleState | None = None,
) -> tuple[Tensor, RuleState]:
    """Integrate and fire at c threshold; c, one per sample, follows the largest normalised current."""
    alive = threshold > 0
    if state is None:
        state = torch.zeros_like(current[0]) + v_init, current.new_full((samples,), eta)
    u, c = state
    for t in range(len(current)):
        x = current[t]
        if adapt:
            c = adapted(c, x, threshold, eta=eta, rule=rule, axis=axis)
        factor = along(c, x, axis)
        u = u + x
        s = ((u >= factor * threshold) & alive).to(u.dtype)
        u = u - s * (threshold if subtract == "vmax" else factor * threshold)
        current[t] = (s * factor if subtract == "graded" else s) * amplitude
    return current, (u, c)


def msat_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    alpha: float,
    k_a: float,
    k_i: float,
    c: float,
    tau_mp: float,
    tau_rd: float,
    v_t: float,
    dtt: bool,
    det: bool,
    burst: int,
    confidence: float,
    unsure: int,
    key: int,
    samples: int,
    axis: int,
    first_sample: int = 0,
    first_step: int = 0,
    state: RuleState | None = None,
) -> tuple[Tensor, RuleState]:
    """Multi-stage adaptive threshold with spike confidence, in units of `threshold`."""
    alive = threshold > 0
    divisor = torch.where(alive, threshold, 1)
    if state is None:
        v = torch.zeros_like(current[0]) + torch.where(alive, v_init / divisor, 0)
        state = v, torch.zeros_like(v)
    v, total = state
    random = confidence < 1 and first_step < unsure
    streams = counters(v, key, samples=samples, first_sample=first_sample, axis=axis) if random else None
    for t in range(len(current)):
        x = torch.where(alive, current[t] / divisor, 0)
        step = first_step + t
        th = torch.ones_like(v)
        if step and (dtt or det):
            d, th = v - total / step, torch.zeros_like(v)
            if dtt:
                th = th + tau_mp * (alpha * d + v_t + k_a * torch.logaddexp(torch.zeros_like(d), d / k_i))
            if det:
                th = th + tau_rd * torch.exp((-x / c).clamp(max=50))
            th = torch.sigmoid(th)
        v = v + x
        z = (v >= th).to(v.dtype) if burst == 1 else torch.floor(v / th).clamp(0, burst)
        if streams is not None and step < unsure:
            z = z * (uniform(streams, step, v) < confidence)
        y = th * z * alive
        v = v - y
        total = total + v
        current[t] = y * amplitude
    return current, (v, total)


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
