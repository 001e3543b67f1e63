# SPDX-License-Identifier: Apache-2.0
"""Signed integrate and fire over T steps in torch; see `neurons.state`."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.neurons.state import State, start


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
