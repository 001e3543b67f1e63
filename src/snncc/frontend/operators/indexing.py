# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that pick or place entries by index, linear in the data where the indices are static."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported
from snncc.frontend.operators.elementwise import is_float
from snncc.frontend.operators.linear import constant, spatial_first
from snncc.ir.network import Array
from snncc.ir.nodes import Node

APART = "its data and its indices carry the samples on different axes"


def together(g: Builder, *operands: Operand) -> tuple[list[Node], int | None]:
    """Operands of equal rank with their samples on one axis; those without are repeated per sample."""
    inputs = [g.node(x) for x in operands]
    found = {(x.batch, x.shape[x.batch]) for x in inputs if x.batch is not None}
    if len(found) > 1:
        raise MixesSamples(APART)
    if not found:
        return inputs, None
    axis, extent = next(iter(found))
    if any(x.shape[axis] != extent for x in inputs):
        raise MixesSamples("its operands have different extents along the samples' axis")
    return [g.repeated(x, axis) for x in inputs], axis


def gather_elements(g: Builder, x: Operand, index: Operand, *, axis: int = 0) -> Node:
    """GatherElements."""
    inputs, batch = together(g, x, index)
    axis %= len(g.shape)
    if batch == axis:
        raise MixesSamples("it gathers along the samples' axis")
    return g.operator("gather_elements", *inputs, batch=batch, axis=axis)


def scatter_elements(
    g: Builder, x: Operand, index: Operand, updates: Operand, *, axis: int = 0, reduction: str = "none"
) -> Node:
    """ScatterElements and Scatter: linear in data and updates unless they are multiplied or compared."""
    inputs, batch = together(g, x, index, updates)
    axis %= len(g.shape)
    if batch == axis:
        raise MixesSamples("it scatters along the samples' axis")
    op = "scatter_elements" if reduction in ("none", "add") else "combine_elements"
    return g.operator(op, *inputs, batch=batch, axis=axis, reduction=reduction)


def without_coordinate(index: Operand, axis: int) -> Array | None:
    """Constant indices without the coordinate on the samples' axis, which must be 0 everywhere."""
    if not isinstance(index, np.ndarray) or index.shape[-1] < 2 or np.any(index[..., axis] != 0):
        return None
    return np.delete(index, axis, axis=-1)


def gather_nd(g: Builder, x: Operand, index: Operand, *, batch_dims: int = 0) -> Node:
    """GatherND; constant indices may hold a coordinate for the samples' axis (always 0)."""
    x, b = g.node(x), batch_dims
    count = (g.node(index) if index is None else index).shape[-1]
    if x.batch is not None and b <= x.batch < b + count:
        return gather_from_samples(g, x, index, b)
    at = g.node(index)
    carried = {v.batch for v in (x, at) if v.batch is not None}
    if any(axis < b for axis in carried):
        axis = min(carried)
        if len(carried) > 1 or x.shape[axis] != at.shape[axis]:
            raise MixesSamples(APART)
        return g.operator("gather_nd", g.repeated(x, axis), g.repeated(at, axis), batch=axis, batch_dims=b)
    if x.batch is not None and at.batch is not None:
        raise MixesSamples(APART)
    batch = at.batch if x.batch is None else x.batch - b - count + len(at.shape) - 1
    return g.operator("gather_nd", x, at, batch=batch, batch_dims=b)


def gather_from_samples(g: Builder, x: Node, index: Operand, b: int) -> Node:
    """GatherND whose indices name the sample: it is moved behind the indexed axes and left out of the index."""
    axis = x.batch or 0
    at = without_coordinate(index, axis - b)
    free = [] if at is None else [i for i in range(b, at.ndim - 1) if at.shape[i] == 1]
    if at is None or not free or x.shape[axis] != 1:
        raise MixesSamples("it gathers along the samples' axis")
    last = b + at.shape[-1]
    order = [i for i in range(len(x.shape)) if i != axis]
    order.insert(last, axis)
    final = g.out
    moved = g.transpose(x, order, name=g.fresh("moved"))
    shape = (*at.shape[:-1], *moved.shape[last:])
    where = at.ndim - 1
    picked = g.operator("gather_nd", moved, g.node(at), batch=where, shape=shape, name=g.fresh("picked"), batch_dims=b)
    order = [i for i in range(len(shape)) if i not in (free[0], where)]
    order.insert(free[0], where)
    dropped = [d for i, d in enumerate(shape) if i != free[0]]
    y = g.reshape(picked, dropped, name=g.fresh("squeezed"), batch=where - 1)
    return g.transpose(y, [i - (i > free[0]) for i in order], name=final)


def scatter_nd(g: Builder, x: Operand, index: Operand, updates: Operand, *, reduction: str = "none") -> Node:
    """ScatterND; constant indices may hold a coordinate for the samples' axis (always 0)."""
    data, new = g.node(x), g.node(updates, "updates")
    op = "scatter_nd" if reduction in ("none", "add") else "combine_nd"
    if isinstance(index, Node) and index.batch is not None:
        raise MixesSamples("its indices carry the samples")
    at, final = g.node(index), g.out
    count, lead = at.shape[-1], len(at.shape) - 1
    if data.batch is None and new.batch is not None:
        data = g.repeated(data, new.batch - lead + count if new.batch >= lead else 0)
    if data.batch is None:
        return g.operator(op, data, at, new, batch=None, reduction=reduction)
    if data.batch >= count:
        axis = data.batch - count + lead
        if new.batch not in (None, axis):
            raise MixesSamples(APART)
        return g.operator(op, data, at, g.repeated(new, axis), batch=data.batch, reduction=reduction)
    return scatter_to_samples(g, op, data, without_coordinate(index, data.batch), new, reduction, final)


def scatter_to_samples(
    g: Builder, op: str, data: Node, at: Array | None, new: Node, reduction: str, final: str
) -> Node:
    """ScatterND whose indices name the sample: the samples' axis is moved behind the indexed axes and back."""
    axis = data.batch or 0
    spot = new.batch
    if at is None or data.shape[axis] != 1 or (spot is not None and (spot >= at.ndim - 1 or at.shape[spot] != 1)):
        raise MixesSamples("it scatters along the samples' axis")
    count, lead = at.shape[-1], at.ndim - 1
    if spot is None:  # a new axis of extent 1 for the samples
        shape = (*new.shape[:lead], 1, *new.shape[lead:])
        new = g.repeated(g.reshape(new, shape, name=g.fresh("updates"), batch=None), lead)
    else:
        at = at.reshape(*at.shape[:spot], *at.shape[spot + 1 :])
        order = [i for i in range(len(new.shape)) if i != spot]
        order.insert(lead - 1, spot)
        new = g.transpose(new, order, name=g.fresh("updates"))
    order = [i for i in range(len(data.shape)) if i != axis]
    order.insert(count, axis)
    moved = g.transpose(data, order, name=g.fresh("moved"))
    name = g.fresh("placed")
    y = g.operator(op, moved, g.node(at), new, batch=moved.batch, shape=moved.shape, name=name, reduction=reduction)
    return g.transpose(y, [order.index(i) for i in range(len(order))], name=final)


def compress(g: Builder, x: Operand, condition: Operand, *, axis: int | None = None) -> Node:
    """Compress with a constant condition: a gather."""
    x, final = g.node(x), g.out
    if axis is None:
        size = math.prod(x.shape)
        x, axis = g.reshape(x, (size,), name=g.fresh("flat"), batch=None if x.batch is None else 0), 0
        if x.batch is not None:
            raise MixesSamples("it picks among the samples")
    axis %= len(x.shape)
    if x.batch == axis:
        raise MixesSamples("it picks among the samples")
    places = np.flatnonzero(constant(condition, "condition"))
    shape = [len(places) if i == axis else d for i, d in enumerate(x.shape)]
    return g.operator("gather", x, g.node(places), batch=x.batch, shape=shape, name=final, axis=axis)


def one_hot(g: Builder, index: Operand, depth: Operand, values: Operand, *, axis: int = -1) -> Node:
    """OneHot with a constant depth."""
    at = g.node(index)
    size, place = int(constant(depth, "depth").reshape(-1)[0]), axis % len(g.shape)
    batch = at.batch if at.batch is None or at.batch < place else at.batch + 1
    return g.operator("one_hot", at, g.node(values, "values"), batch=batch, depth=size, axis=place)


def top_k(
    g: Builder,
    x: Operand,
    count: Operand = None,
    *,
    axis: int = -1,
    k: int | None = None,
    largest: int = 1,
    sorted: int = 1,  # noqa: A002
) -> list[Node | None]:
    """TopK: values and indices, always in order."""
    x = g.node(x)
    axis %= len(x.shape)
    if x.batch == axis:
        raise MixesSamples("it sorts along the samples' axis")
    size = int(constant(count, "K").reshape(-1)[0]) if k is None else k
    return [
        g.operator(op, x, batch=x.batch, k=size, axis=axis, largest=bool(largest)) if g.select(i) else None
        for i, op in enumerate(("top_values", "top_indices"))
    ]


def reverse_sequence(g: Builder, x: Operand, lengths: Operand, *, batch_axis: int = 1, time_axis: int = 0) -> Node:
    """ReverseSequence."""
    x, ends = g.node(x), g.node(lengths)
    if x.batch == time_axis or (x.batch != batch_axis and ends.batch is not None):
        raise MixesSamples("its time axis or its lengths carry the samples")
    if x.batch == batch_axis:
        ends = g.repeated(ends, 0)
    return g.operator("reverse_sequence", x, ends, batch=x.batch, batch_axis=batch_axis, time_axis=time_axis)


def max_unpool(
    g: Builder,
    x: Operand,
    index: Operand,
    output_shape: Operand = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Node:
    """MaxUnpool: the indices count within the output, over all samples."""
    value = g.node(x)
    spatial_first(value)
    inputs, batch = together(g, value, index)
    if output_shape is not None:
        constant(output_shape, "output_shape")
    return g.operator("max_unpool", *inputs, batch=batch, extents=tuple(g.shape))


def grid_sample(
    g: Builder, x: Operand, grid: Operand, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Node:
    """GridSample: linear in the data where the grid is static."""
    value = g.node(x)
    spatial_first(value)
    if len(value.shape) not in (4, 5):
        raise Unsupported(f"{len(value.shape) - 2} spatial axes", cure="use 2 or 3")
    inputs, batch = together(g, value, grid)
    if batch not in (None, 0):
        raise MixesSamples("its grid carries the samples on an axis of space")
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    return g.operator(
        "grid_sample", *inputs, batch=batch, mode=mode, padding_mode=padding_mode, align_corners=bool(align_corners)
    )


def masked(g: Builder, x: Node, mask: Array) -> Node:
    """x where a constant mask holds, zero elsewhere."""
    if is_float(x):
        return g.affine(x, mask.astype(np.float32), None)
    return g.elementwise("select", mask, x, np.zeros((), x.dtype))


def trilu(g: Builder, x: Operand, k: Operand = None, *, upper: int = 1) -> Node:
    """Trilu: the upper or lower triangle of the last two axes."""
    x = g.node(x)
    if x.batch is not None and x.batch >= len(x.shape) - 2:
        raise MixesSamples("its triangle extends over the samples' axis")
    offset = 0 if k is None else int(constant(k, "k").reshape(-1)[0])
    ones = np.ones(x.shape[-2:], bool)
    return masked(g, x, np.triu(ones, offset) if upper else np.tril(ones, offset))


LOWERINGS: dict[str, Lowering] = {
    "Compress": compress,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "GridSample": grid_sample,
    "MaxUnpool": max_unpool,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TopK": top_k,
    "Trilu": trilu,
}
