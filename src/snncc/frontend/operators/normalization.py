# SPDX-License-Identifier: Apache-2.0
"""Lowering of normalisations by the sample's own statistics: a function, then an affine map that spikes pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, broadcast_shape
from snncc.frontend.operators.elementwise import along_axes
from snncc.frontend.operators.linear import constant, spatial_first
from snncc.ir.nodes import Attribute, Node, Reduce


def per_sample(x: Node, axes: Sequence[int]) -> None:
    """The statistics must be those of one sample."""
    if x.batch in axes:
        raise MixesSamples("it takes statistics over the samples' axis")


def scaled(g: Builder, x: Node, scale: Operand, shift: Operand, final: str) -> Node:
    """scale x + shift as the value `final`; the operands may be computed."""
    g.out = final
    if not isinstance(scale, Node) and not isinstance(shift, Node):
        return x if scale is None and shift is None else g.affine(x, scale, shift)
    if scale is not None:
        name = final if shift is None else g.fresh("scaled")
        inputs, batch = g.aligned([x, g.node(scale, "scale")], broadcast_shape(x.shape, scale.shape))
        x = g.operator("multiply", *inputs, batch=batch, shape=x.shape, name=name)
    return x if shift is None else g.sum([x, g.node(shift, "shift")], (1.0, 1.0))


def normalized(
    g: Builder, op: str, x: Node, scale: Operand, shift: Operand, shape: Sequence[int], **options: Attribute
) -> Node:
    """op(x), scaled and shifted by operands of another shape."""
    final = g.out
    scale, shift = reshaped(g, scale, shape), reshaped(g, shift, shape)
    name = final if scale is None and shift is None else g.fresh("normalized")
    y = g.operator(op, x, batch=x.batch, shape=x.shape, name=name, dtype="float32", **options)
    return scaled(g, y, scale, shift, final)


def reshaped(g: Builder, operand: Operand, shape: Sequence[int]) -> Operand:
    """A parameter in another shape; an empty `shape` leaves it."""
    if operand is None or not shape or tuple(operand.shape) == tuple(shape):
        return operand
    if isinstance(operand, Node):
        return g.reshape(operand, shape, name=g.fresh("parameter"))
    return operand.reshape(tuple(shape))


def layer_normalization(
    g: Builder,
    x: Operand,
    scale: Operand = None,
    bias: Operand = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> list[Node | None]:
    """LayerNormalization: the result, the mean and the inverse standard deviation."""
    x = g.node(x)
    axes = tuple(range(axis % len(x.shape), len(x.shape)))
    per_sample(x, axes)
    results: list[Node | None] = [None, None, None]
    if g.select(0):
        results[0] = normalized(g, "standardize", x, scale, bias, (), axes=axes, epsilon=epsilon)
    if g.select(1):
        results[1] = g.unary(Reduce, x, op="mean", axes=axes, keepdims=True)
    if g.select(2):
        results[2] = g.operator("inverse_deviation", x, batch=x.batch, axes=axes, epsilon=epsilon)
    return results


def simplified_layer_normalization(
    g: Builder, x: Operand, scale: Operand, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Node:
    """RMSNormalization, which onnxruntime once called SimplifiedLayerNormalization."""
    x = g.node(x)
    axes = tuple(range(axis % len(x.shape), len(x.shape)))
    per_sample(x, axes)
    return normalized(g, "divide_by_root_mean_square", x, scale, None, (), axes=axes, epsilon=epsilon)


def group_normalization(
    g: Builder,
    x: Operand,
    scale: Operand,
    bias: Operand,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Node:
    """GroupNormalization; scale and bias per channel, before opset 21 per group."""
    x, final = g.node(x), g.out
    spatial_first(x)
    channels, space = x.shape[1], x.shape[2:]
    grouped = (x.shape[0], num_groups, channels // num_groups * math.prod(space))
    parts = g.reshape(x, grouped, name=g.fresh("grouped"), batch=x.batch)
    g.out = g.fresh("standardized")
    y: Node = g.operator("standardize", parts, batch=x.batch, shape=grouped, axes=(2,), epsilon=epsilon)
    if g.opset < 21 and num_groups != channels:
        scale, bias = (np.repeat(constant(p, "scale"), channels // num_groups) for p in (scale, bias))
    y = g.reshape(y, x.shape, name=g.fresh("ungrouped"), batch=x.batch)
    shape = (channels, *[1] * len(space))
    return scaled(g, y, reshaped(g, scale, shape), reshaped(g, bias, shape), final)


def instance_normalization(g: Builder, x: Operand, scale: Operand, bias: Operand, *, epsilon: float = 1e-5) -> Node:
    """InstanceNormalization: the statistics of each channel."""
    x = g.node(x)
    spatial_first(x)
    rank = len(x.shape)
    shape = (x.shape[1], *[1] * (rank - 2))
    return normalized(g, "standardize", x, scale, bias, shape, axes=tuple(range(2, rank)), epsilon=epsilon)


def mean_variance_normalization(g: Builder, x: Operand, *, axes: Sequence[int] = (0, 2, 3)) -> Node:
    """MeanVarianceNormalization."""
    x = g.node(x)
    along = tuple(axis % len(x.shape) for axis in axes)
    per_sample(x, along)
    return g.operator("standardize", x, batch=x.batch, axes=along, epsilon=0.0, outside=1e-9)


def lp_normalization(g: Builder, x: Operand, *, axis: int = -1, p: int = 2) -> Node:
    """LpNormalization."""
    x = g.node(x)
    axis %= len(x.shape)
    per_sample(x, (axis,))
    return g.operator("divide_by_norm", x, batch=x.batch, axis=axis, p=p)


def lrn(g: Builder, x: Operand, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Node:
    """LRN: local response normalisation over channels."""
    x = g.node(x)
    spatial_first(x)
    return g.operator("local_response", x, batch=x.batch, size=size, alpha=alpha, beta=beta, bias=bias)


def hardmax(g: Builder, x: Operand, *, axis: int | None = None) -> Node:
    """Hardmax."""
    return along_axes(g, "hardmax", x, axis, 1)


LOWERINGS: dict[str, Lowering] = {
    "GroupNormalization": group_normalization,
    "Hardmax": hardmax,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": simplified_layer_normalization,
    "SimplifiedLayerNormalization": simplified_layer_normalization,
}
