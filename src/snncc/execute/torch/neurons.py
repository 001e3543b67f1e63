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
    """The membrane potential and the spike count before the first step. Scans change them in place."""
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
    fires_at = torch.where(threshold > 0, threshold, float("inf"))
    for t in range(len(current)):
        u += current[t]
        z = (u >= fires_at).to(u.dtype) if burst == 1 else torch.floor(u / fires_at).clamp_(0, burst)
        u -= z * threshold if reset == "subtract" else (z > 0) * u
        torch.mul(z, amplitude, out=current[t])
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
    """Integrate and fire with negative spikes (u < 0, <= 0 or <= -threshold) while the count is positive."""
    u, n = start(current, v_init, state)
    for t in range(len(current)):
        u += current[t]
        z = signed_spikes(u, n, threshold, negative=negative, cap=cap, levels=levels)
        u -= z * threshold
        n += z
        torch.mul(z, amplitude, out=current[t])
    return current, (u, n)


def signed_spikes(u: Tensor, n: Tensor, threshold: Tensor, *, negative: str, cap: int | None, levels: int) -> Tensor:
    """The spikes of a signed neuron at potential u after n net spikes."""
    ceiling = float("inf") if cap is None else float(cap)
    fires_at = torch.where(threshold > 0, threshold, float("inf"))
    if levels == 1:
        fires = u >= fires_at
        if cap is not None:
            fires &= n < ceiling
        lowest = -fires_at if negative == "signed" else torch.where(threshold > 0, 0.0, -float("inf"))
        below = u < lowest if negative == "early" else u <= lowest
        below &= n > 0
        return fires.to(u.dtype).sub_(below.to(u.dtype))
    z = torch.floor(u / fires_at)
    return torch.minimum(torch.maximum(z, -n.clamp(max=levels)), (ceiling - n).clamp_(max=levels))


def centred_if_scan(
    current: Tensor,
    threshold: Tensor,
    amplitude: Tensor,
    v_init: Tensor,
    centre: Tensor,
    *,
    until: int,
    levels: int,
    first_step: int = 0,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Signed IF (early) around a resting rate of centre / until, which flows for the first `until` steps."""
    u, n = start(current, v_init, state)
    if state is None:
        n += centre
    rest = centre / max(1, until)
    charge = rest * threshold * (threshold > 0)
    for t in range(len(current)):
        flows = first_step + t < until
        u += current[t].sub_(charge) if flows else current[t]
        z = signed_spikes(u, n, threshold, negative="early", cap=None, levels=levels)
        u -= z * threshold
        n += z
        torch.mul(z.add_(rest) if flows else z, amplitude, out=current[t])
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
