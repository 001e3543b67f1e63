# SPDX-License-Identifier: Apache-2.0
"""Functions that pick and place entries, as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snncc.functions.onnx.graph import Graph
from snncc.neurons.node import Node


def whole(g: Graph, index: str) -> str:
    """Indices as integers; those that were transmitted as rates are close to whole numbers."""
    return g.cast(g.op("Round", index), np.int64) if g.is_float(index) else g.cast(index, np.int64)


def gather(g: Graph, node: Node, x: str, index: str, *, axis: int) -> str:
    """The entries of x at `index` along an axis."""
    return g.op("Gather", x, whole(g, index), axis=axis)


def arg_max(g: Graph, node: Node, x: str, *, axis: int, keepdims: bool, last: bool, largest: bool) -> str:
    """Index of the largest (or smallest) entry along `axis`."""
    operator = "ArgMax" if largest else "ArgMin"
    return g.op(operator, x, kind=np.int64, axis=axis, keepdims=int(keepdims), select_last_index=int(last))


def gather_elements(g: Graph, node: Node, x: str, index: str, *, axis: int) -> str:
    """y[i][j] = x[index[i][j]][j] for axis 0, and so on."""
    return g.op("GatherElements", x, whole(g, index), axis=axis)


def gather_nd(g: Graph, node: Node, x: str, index: str, *, batch_dims: int) -> str:
    """The slices x[..., *index[..., m, :]]."""
    return g.op("GatherND", x, whole(g, index), batch_dims=batch_dims)


def scatter_elements(g: Graph, node: Node, x: str, index: str, updates: str, *, axis: int, reduction: str) -> str:
    """x with entries along an axis replaced, added or combined."""
    x, updates = g.common(x, updates)
    return g.op("ScatterElements", x, whole(g, index), updates, axis=axis, reduction=reduction)


def scatter_nd(g: Graph, node: Node, x: str, index: str, updates: str, *, reduction: str) -> str:
    """x with slices replaced, added or combined."""
    x, updates = g.common(x, updates)
    return g.op("ScatterND", x, whole(g, index), updates, reduction=reduction)


def top(g: Graph, x: str, k: int, axis: int, largest: bool) -> list[str]:
    """The k largest (or smallest) entries and where they are."""
    return g.several("TopK", [x, g.shape([k])], (None, np.int64), axis=axis, largest=int(largest), sorted=1)


def top_values(g: Graph, node: Node, x: str, *, k: int, axis: int, largest: bool) -> str:
    """The k largest (or smallest) entries along `axis`, in order."""
    return top(g, x, k, axis, largest)[0]


def top_indices(g: Graph, node: Node, x: str, *, k: int, axis: int, largest: bool) -> str:
    """Where those are."""
    return top(g, x, k, axis, largest)[1]


def one_hot(g: Graph, node: Node, index: str, values: str, *, depth: int, axis: int) -> str:
    """values[1] where a new axis of extent `depth` is at the index, values[0] elsewhere."""
    return g.op("OneHot", whole(g, index), g.constant(np.int64(depth)), values, kind=g.kind(values), axis=axis)


def reverse_sequence(g: Graph, node: Node, x: str, lengths: str, *, batch_axis: int, time_axis: int) -> str:
    """The first lengths[b] entries along the time axis in reverse order; ONNX has both axes in front."""
    rank = len(node.shape)
    order = [batch_axis, time_axis, *[i for i in range(rank) if i not in (batch_axis, time_axis)]]
    y = g.op("Transpose", x, perm=order)
    y = g.op("ReverseSequence", y, whole(g, lengths), batch_axis=0, time_axis=1)
    return g.op("Transpose", y, perm=[order.index(i) for i in range(rank)])


def grid_sample(g: Graph, node: Node, x: str, grid: str, *, mode: str, padding_mode: str, align_corners: bool) -> str:
    """x at the points of a grid."""
    kind = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    return g.op(
        "GridSample", x, g.floating(grid), mode=kind, padding_mode=padding_mode, align_corners=int(align_corners)
    )


def max_unpool(g: Graph, node: Node, x: str, index: str, *, extents: Sequence[int]) -> str:
    """Zeros of `extents` per sample, x at the flat places `index` (which count on over samples)."""
    size = math.prod(extents[1:])
    count = g.op("Slice", g.op("Shape", x, kind=np.int64), *[g.shape([i]) for i in (0, 1, 0)])
    zeros = g.op("Expand", g.constant(np.zeros((1, 1), g.float_type)), g.op("Concat", count, g.shape([size]), axis=0))
    rows = g.shape([0, -1])
    places = g.op("Mod", g.op("Reshape", whole(g, index), rows), size)
    y = g.op("ScatterElements", zeros, places, g.op("Reshape", x, rows), axis=1)
    return g.op("Reshape", y, g.shape([-1, *extents[1:]]))


def length_bias(
    g: Graph, node: Node, lengths: str, *, queries: int, keys: int, causal: bool, left: int, right: int
) -> str:
    """(N, 1, queries, keys): 0 where key j < n is in sight of query i, which stands at n - queries + i; else -inf."""
    n = g.op("Reshape", g.cast(lengths, np.int64), g.shape([-1, 1, 1, 1]))
    at = g.op("Add", n, np.arange(queries).reshape(1, 1, queries, 1) - queries)
    j = np.arange(keys).reshape(1, 1, 1, keys)
    seen = g.op("Expand", g.op("Greater", n, j, kind=bool), g.shape([1, 1, queries, 1]))
    ends = [0] if causal else []
    for end in [*ends, right] if right >= 0 else ends:
        seen = g.op("And", seen, g.op("GreaterOrEqual", g.op("Add", at, end), j, kind=bool))
    if left >= 0:
        seen = g.op("And", seen, g.op("LessOrEqual", g.op("Sub", at, left), j, kind=bool))
    return g.where(seen, 0.0, -math.inf, kind=g.float_type)
