# SPDX-License-Identifier: Apache-2.0
"""Integrate and fire with an adaptive threshold over T steps in torch; see `neurons.state`."""

from __future__ import annotations

import torch
from torch import Tensor

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
