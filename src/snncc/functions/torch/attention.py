# SPDX-License-Identifier: Apache-2.0
"""What attention needs besides products and softmax, in torch."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_softmax(x: Tensor, bias: Tensor) -> Tensor:
    """exp(x + b) / sum exp(x + b) over the last axis; 0 where b is -inf for all of it."""
    seen = (bias > -torch.inf).expand_as(x)
    s = torch.where(seen, x + bias, -torch.inf)
    top = torch.where(seen.any(-1, keepdim=True), s.amax(-1, keepdim=True), 0)
    e = torch.exp(s - top)
    return torch.where(seen, e / e.sum(-1, keepdim=True), 0)


def mask_bias(mask: Tensor) -> Tensor:
    """0 where the mask is true, -inf where it is false."""
    return torch.where(mask, 0.0, -torch.inf)


def length_bias(lengths: Tensor, *, queries: int, keys: int, causal: bool, left: int, right: int) -> Tensor:
    """(N, 1, queries, keys): 0 where key j < n is in sight of query i, which stands at n - queries + i; else -inf."""
    n = lengths.reshape(-1, 1, 1, 1)
    j = torch.arange(keys, device=lengths.device)
    ahead = j - (torch.arange(queries, device=lengths.device).reshape(-1, 1) + n - queries)
    seen = (j < n) & ((ahead <= 0) | (not causal)) & ((-ahead <= left) | (left < 0)) & ((ahead <= right) | (right < 0))
    return torch.where(seen, 0.0, -torch.inf)
