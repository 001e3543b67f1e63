# SPDX-License-Identifier: Apache-2.0
"""Neurons over T steps in torch, one fused scan each. The emitted module contains the sources of those it uses.

`current` is (T, N, *shape) and is overwritten by the output. `state` is what an earlier call returned, None at the
start. The equations stand in `snncc.neurons`; the scans are tested against them, at equality with the threshold too.
"""

from __future__ import annotations

import torch
from torch import Tensor

State = tuple[Tensor, Tensor]


def start(current: Tensor, v_init: Tensor, state: State | None) -> State:
    """The membrane potential and the spike count before the first step."""
    if state is not None:
        return state
    zeros = torch.zeros_like(current[0])
    return zeros + v_init, zeros


def if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    reset: str,
    burst: int = 1,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Integrate and fire with soft (subtract) or hard (zero) reset; fires where u >= threshold > 0."""
    u, n = start(current, v_init, state)
    alive = threshold > 0
    divisor = torch.where(alive, threshold, 1)
    for t in range(len(current)):
        u = u + current[t]
        z = ((u >= threshold) & alive).to(u.dtype) if burst == 1 else torch.floor(u / divisor).clamp(0, burst) * alive
        u = u - z * threshold if reset == "subtract" else torch.where(z > 0, 0, u)
        current[t] = z * amplitude
    return current, (u, n)


def signed_if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    negative: str,
    cap: int | None,
    levels: int,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Integrate and fire with negative spikes (early: u < 0, signed: u <= -threshold) while the count is positive."""
    u, n = start(current, v_init, state)
    alive = threshold > 0
    divisor = torch.where(alive, threshold, 1)
    ceiling = torch.full_like(u, float("inf") if cap is None else float(cap))
    for t in range(len(current)):
        u = u + current[t]
        if levels == 1:
            fires = (u >= threshold) & (n < ceiling) & alive
            below = (u < 0) if negative == "early" else (u <= -threshold)
            z = fires.to(u.dtype) - (~fires & below & (n > 0) & alive).to(u.dtype)
        else:
            z = torch.floor(u / divisor) * alive
            z = torch.minimum(torch.maximum(z, -n.clamp(max=levels)), (ceiling - n).clamp(max=levels))
        u = u - z * threshold
        n = n + z
        current[t] = z * amplitude
    return current, (u, n)


def multi_threshold_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    *,
    sizes: int,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Thresholds of either sign that halve; the largest that |u| reaches to three quarters fires and is subtracted."""
    u, n = start(current, v_init, state)
    alive = threshold > 0
    for t in range(len(current)):
        u = u + current[t]
        z = torch.zeros_like(u)
        for i in range(sizes):
            z = torch.where((z == 0) & (u.abs() >= threshold * (0.75 * 2.0**-i)), 2.0**-i, z)
        z = z * u.sign() * alive
        u = u - z * threshold
        n = n + z
        current[t] = z * amplitude
    return current, (u, n)


def leaky_if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    slope: Tensor,
    *,
    negative: str,
    levels: int,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Two-sided signed IF; emits the change of phi(n) = n for n >= 0, slope n below."""
    u, n = start(current, v_init, state)
    alive = threshold > 0
    divisor = torch.where(alive, threshold, 1)
    for t in range(len(current)):
        u = u + current[t]
        if levels == 1:
            below = (u < 0) if negative == "early" else (u <= -threshold)
            z = ((u >= threshold).to(u.dtype) - below.to(u.dtype)) * alive
        else:
            z = torch.floor(u / divisor).clamp(-levels, levels) * alive
        u = u - z * threshold
        before = torch.where(n >= 0, n, slope * n)
        n = n + z
        current[t] = (torch.where(n >= 0, n, slope * n) - before) * amplitude
    return current, (u, n)
