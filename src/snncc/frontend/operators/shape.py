# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that move entries, and of sums and means over axes.

What later opsets moved from attributes to inputs is taken from either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported
from snncc.frontend.operators.linear import constant
from snncc.ir.nodes import Concat, Expand, Node, Pad, Reduce, Slice

Ints = Sequence[int]


def ints(operand: Operand, attribute: Ints | None, what: str) -> list[int] | None:
    """Integers from an input (newer opsets) or an attribute (older ones)."""
    if operand is not None:
        return [int(i) for i in constant(operand, what).reshape(-1)]
    return None if attribute is None else [int(i) for i in attribute]


def positive(axes: Ints, rank: int) -> list[int]:
    """Axes counted from the front."""
    return [axis % rank for axis in axes]


def flatten(g: Builder, x: Operand, *, axis: int = 1) -> Node:
    """Flatten to two axes."""
    x = g.node(x)
    cut = axis % len(x.shape) if axis < 0 else axis
    return g.reshape(x, g.shape, batch=(0 if cut > 0 else 1) if x.batch == 0 else None)


def reshape(
    g: Builder, x: Operand, shape_input: Operand = None, *, shape: Ints | None = None, allowzero: int = 0
) -> Node:
    """Reshape to a constant shape."""
    wanted = ints(shape_input, shape, "shape") or []
    hint = next((i for i, d in enumerate(wanted) if d == -1), None)
    return g.reshape(g.node(x), g.shape, hint=hint)


def squeeze(g: Builder, x: Operand, axes_input: Operand = None, *, axes: Ints | None = None) -> Node:
    """Squeeze: axes of extent 1 removed; never the samples'."""
    x = g.node(x)
    given = ints(axes_input, axes, "axes")
    gone = positive(given, len(x.shape)) if given else [i for i, d in enumerate(x.shape) if d == 1 and i != x.batch]
    if x.batch in gone:
        raise MixesSamples("it removes the samples' axis")
    batch = None if x.batch is None else x.batch - sum(i < x.batch for i in gone)
    return g.reshape(x, [d for i, d in enumerate(x.shape) if i not in gone], batch=batch)


def unsqueeze(g: Builder, x: Operand, axes_input: Operand = None, *, axes: Ints | None = None) -> Node:
    """Unsqueeze: axes of extent 1 inserted."""
    x = g.node(x)
    new = positive(ints(axes_input, axes, "axes") or [], len(g.shape))
    old = [i for i in range(len(g.shape)) if i not in new]
    return g.reshape(x, g.shape, batch=None if x.batch is None else old[x.batch])


def transpose(g: Builder, x: Operand, *, perm: Ints | None = None) -> Node:
    """Transpose; without `perm` the axes are reversed."""
    x = g.node(x)
    order = perm or tuple(reversed(range(len(x.shape))))
    if sorted(order) != list(range(len(x.shape))):
        raise Unsupported(f"perm {list(order)} is no order of its axes", cure="check the file with onnx.checker")
    return g.transpose(x, order)


def concat(g: Builder, *operands: Operand, axis: int = 1) -> Node:
    """Concat; operands without a batch axis are repeated per sample."""
    inputs = [g.node(x) for x in operands]
    axis %= len(g.shape)
    batch, _ = g.samples_axis(inputs, len(g.shape)) or (None, 1)
    if batch == axis and len(inputs) > 1:
        raise MixesSamples("it joins values along the samples' axis")
    if batch is not None:
        inputs = [g.repeated(x, batch) for x in inputs]
    names = tuple(x.name for x in inputs)
    return g.add(Concat(name=g.out, inputs=names, shape=g.shape, batch=batch, dtype=g.dtype, axis=axis))


def take(g: Builder, x: Node, axis: int, start: int, step: int, size: int, name: str) -> Node:
    """One axis sliced."""
    shape = tuple(size if i == axis else d for i, d in enumerate(x.shape))
    if x.batch == axis and (size, step) != (x.shape[axis], 1):
        raise MixesSamples("it cuts the samples' axis")
    return g.unary(Slice, x, name=name, shape=shape, dtype=x.dtype, axis=axis, start=start, step=step)


def slice_(
    g: Builder,
    x: Operand,
    starts_input: Operand = None,
    ends_input: Operand = None,
    axes_input: Operand = None,
    steps_input: Operand = None,
    *,
    starts: Ints | None = None,
    ends: Ints | None = None,
    axes: Ints | None = None,
) -> Node:
    """Slice with constant bounds: one `Slice` node per axis that is cut."""
    value = g.node(x)
    begin, end = ints(starts_input, starts, "starts") or [], ints(ends_input, ends, "ends") or []
    along = positive(ints(axes_input, axes, "axes") or range(len(begin)), len(value.shape))
    steps = ints(steps_input, None, "steps") or [1] * len(begin)
    cuts = []
    for axis, b, e, s in zip(along, begin, end, steps, strict=True):
        entries = range(value.shape[axis])[b:e:s]
        if entries != range(value.shape[axis]):
            cuts.append((axis, entries))
    if not cuts:
        return g.reshape(value, value.shape, batch=value.batch)
    for i, (axis, entries) in enumerate(cuts):
        name = g.out if i == len(cuts) - 1 else g.fresh(f"axis{axis}")
        value = take(g, value, axis, entries.start, entries.step, len(entries), name)
    return value


def split(
    g: Builder,
    x: Operand,
    sizes_input: Operand = None,
    *,
    axis: int = 0,
    split: Ints | None = None,
    num_outputs: int | None = None,
) -> list[Node | None]:
    """Split: a `Slice` per output."""
    value = g.node(x)
    axis %= len(value.shape)
    count = len(g.results)
    chunk = math.ceil(value.shape[axis] / count)
    sizes = ints(sizes_input, split, "split") or [min(chunk, value.shape[axis] - i * chunk) for i in range(count)]
    results: list[Node | None] = []
    for i, size in enumerate(sizes):
        used = g.select(i)
        results.append(take(g, value, axis, sum(sizes[:i]), 1, size, g.out) if used else None)
    return results


def pad(
    g: Builder,
    x: Operand,
    pads_input: Operand = None,
    value_input: Operand = None,
    axes_input: Operand = None,
    *,
    mode: str = "constant",
    pads: Ints | None = None,
    value: float = 0.0,
) -> Node:
    """Pad by a constant amount: constant, reflect, edge or wrap."""
    x = g.node(x)
    rank = len(x.shape)
    amounts = ints(pads_input, pads, "pads") or []
    axes = positive(ints(axes_input, None, "axes") or range(rank), rank)
    if value_input is not None:
        value = float(constant(value_input, "value").reshape(-1)[0]) if math.prod(value_input.shape) else 0.0
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis], full[rank + axis] = amounts[i], amounts[len(axes) + i]
    if x.batch is not None and (full[x.batch] or full[rank + x.batch]):
        raise MixesSamples("it pads the samples' axis")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise Unsupported(f"mode={mode}", cure="use constant, reflect, edge or wrap")
    return g.unary(Pad, x, dtype=x.dtype, padding=tuple(full), mode=mode, value=value)


def expand(g: Builder, x: Operand, shape: Operand) -> Node:
    """Expand to a constant shape."""
    constant(shape, "shape")
    x = g.node(x)
    batch = None if x.batch is None else x.batch + len(g.shape) - len(x.shape)
    if batch is not None and g.shape[batch] != x.shape[x.batch or 0]:
        raise MixesSamples("it enlarges the samples' axis")
    return g.unary(Expand, x, batch=batch, dtype=x.dtype)


def reduction(
    g: Builder,
    x: Operand,
    axes_input: Operand,
    *,
    axes: Ints | None = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> tuple[Node, dict[str, Any]]:
    """The operand of a reduction and the fields of its node: axes, keepdims and the batch axis of the result."""
    x = g.node(x)
    if keepdims not in (0, 1):
        raise Unsupported(f"keepdims is {keepdims}, not 0 or 1", cure="check the file with onnx.checker")
    given = ints(axes_input, axes, "axes")
    along = positive(given, len(x.shape)) if given else [] if noop_with_empty_axes else list(range(len(x.shape)))
    if x.batch in along:
        raise MixesSamples("it reduces over the samples' axis")
    batch = x.batch if x.batch is None or keepdims else x.batch - sum(i < x.batch for i in along)
    return x, {"batch": batch, "axes": tuple(along), "keepdims": bool(keepdims)}


def reduce_mean(g: Builder, x: Operand, axes_input: Operand = None, **attributes: Any) -> Node:
    """ReduceMean."""
    x, fields = reduction(g, x, axes_input, **attributes)
    return g.unary(Reduce, x, op="mean", **fields)


def reduce_sum(g: Builder, x: Operand, axes_input: Operand = None, **attributes: Any) -> Node:
    """ReduceSum."""
    x, fields = reduction(g, x, axes_input, **attributes)
    return g.unary(Reduce, x, op="sum", dtype=x.dtype, **fields)


def gather(g: Builder, x: Operand, index: Operand, *, axis: int = 0) -> Node:
    """Gather along an axis, by constant indices or static ones (token ids)."""
    values, at = g.node(x), g.node(index)
    axis %= len(values.shape)
    if values.batch == axis:
        order = np.ravel(index) if isinstance(index, np.ndarray) and len(values.shape) == 1 else ()
        if g.grows(g.out) is not None and np.array_equal(order, np.arange(values.shape[0])):  # as_strided
            return g.reshape(values, g.shape)
        raise MixesSamples("it gathers along the samples' axis")
    axes = set()
    if values.batch is not None:
        axes.add(values.batch if values.batch < axis else values.batch + len(at.shape) - 1)
    if at.batch is not None:
        axes.add(axis + at.batch)
    if len(axes) > 1 or (values.batch is not None and at.batch is not None):
        raise MixesSamples("its data and its indices both carry the samples")
    return g.operator("gather", values, at, batch=next(iter(axes), None), axis=axis)


LOWERINGS: dict[str, Lowering] = {
    "Concat": concat,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
    "Reshape": reshape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
