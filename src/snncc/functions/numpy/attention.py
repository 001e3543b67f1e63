# SPDX-License-Identifier: Apache-2.0
"""What attention needs besides products and softmax, in plain NumPy: the definition. Names as in `torch_attention`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def masked_softmax(x: Array, bias: Array) -> Array:
    """exp(x + b) / sum exp(x + b) over the last axis; 0 where b is -inf for all of it."""
    hidden = np.broadcast_to(np.isneginf(bias), x.shape)
    s = np.where(hidden, -np.inf, x + bias)
    e = np.where(hidden, 0, np.exp(s - np.max(s, axis=-1, keepdims=True)))
    total = e.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(e, total, out=np.zeros_like(x), where=total > 0))


def mask_bias(mask: Array) -> Array:
    """0 where the mask is true, -inf where it is false."""
    return np.where(mask, 0.0, -np.inf)


def length_bias(lengths: Array, *, queries: int, keys: int, causal: bool, left: int, right: int) -> Array:
    """(N, 1, queries, keys): 0 where key j < n is in sight of query i, which stands at n - queries + i; else -inf."""
    bias = np.full((len(lengths), 1, queries, keys), -np.inf)
    for b, n in enumerate(lengths):
        for i in range(queries):
            at = int(n) - queries + i
            begin = max(0, at - left) if left >= 0 else 0
            end = min([int(n), *([at + 1] if causal else []), *([at + right + 1] if right >= 0 else [])])
            bias[b, 0, i, begin : max(begin, end)] = 0
    return bias
