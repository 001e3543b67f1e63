# SPDX-License-Identifier: Apache-2.0
"""The multi-stage adaptive threshold over T steps in torch; see `neurons.state`."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.neurons.adaptive_if.scan import RuleState
from snncc.neurons.random import counters, uniform


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
