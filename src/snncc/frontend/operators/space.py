# SPDX-License-Identifier: Apache-2.0
"""Lowering of operators that rearrange space, composed of reshapes, transposes, pads and linear maps; and of shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand
from snncc.frontend.operators.linear import Window, constant, dense, one_to_three, spatial_first, weighted
from snncc.frontend.operators.shape import expand, ints, positive
from snncc.ir.nodes import ConvTranspose, Node, Pad

Ints = Sequence[int]


def regrouped(g: Builder, x: Node, split: Ints, order: Ints) -> Node:
    """x seen with finer axes, permuted, and seen with the axes of the result; the samples stay on axis 0."""
    final = g.out
    spatial_first(x)
    fine = g.reshape(x, split, name=g.fresh("split"), batch=x.batch)
    moved = g.transpose(fine, order, name=g.fresh("moved"))
    return g.reshape(moved, g.shape, name=final, batch=moved.batch)


def depth_to_space(g: Builder, x: Operand, *, blocksize: int, mode: str = "DCR") -> Node:
    """DepthToSpace: blocks of channels become blocks of space."""
    x = g.node(x)
    n, c, h, w = x.shape
    depth = c // blocksize**2
    if mode == "CRD":
        return regrouped(g, x, (n, depth, blocksize, blocksize, h, w), (0, 1, 4, 2, 5, 3))
    return regrouped(g, x, (n, blocksize, blocksize, depth, h, w), (0, 3, 4, 1, 5, 2))


def space_to_depth(g: Builder, x: Operand, *, blocksize: int, mode: str = "DCR") -> Node:
    """SpaceToDepth, the inverse of DepthToSpace."""
    x = g.node(x)
    n, c, h, w = x.shape
    order = (0, 1, 3, 5, 2, 4) if mode == "CRD" else (0, 3, 5, 1, 2, 4)
    return regrouped(g, x, (n, c, h // blocksize, blocksize, w // blocksize, blocksize), order)


def tile(g: Builder, x: Operand, repeats_input: Operand) -> Node:
    """Tile: a new axis in front of each repeated one, broadcast, and merged with it."""
    x, final, shape = g.node(x), g.out, g.shape
    repeats = ints(repeats_input, None, "repeats") or []
    if x.batch is not None and repeats[x.batch] != 1:
        raise MixesSamples("it repeats the samples")
    thin: list[int] = []
    full: list[int] = []
    batch = None
    for axis, (extent, count) in enumerate(zip(x.shape, repeats, strict=True)):
        front = [] if count == 1 else [count]
        thin += [*[1] * len(front), extent]
        full += [*front, extent]
        batch = len(full) - 1 if axis == x.batch else batch
    g.out = g.fresh("thin")
    value = g.reshape(x, thin, batch=batch)
    g.out, g.shape = g.fresh("repeated"), tuple(full)
    value = expand(g, value, np.asarray(full))
    return g.reshape(value, shape, name=final, batch=x.batch)


def center_crop_pad(g: Builder, x: Operand, shape_input: Operand, *, axes: Ints | None = None) -> Node:
    """CenterCropPad: padding that is negative where the input is larger."""
    x = g.node(x)
    rank = len(x.shape)
    padding = [0] * (2 * rank)
    along = positive(axes if axes is not None else range(rank), rank)
    for axis, size in zip(along, ints(shape_input, None, "shape") or [], strict=True):
        change = size - x.shape[axis]
        begin = change // 2 if change > 0 else -(-change // 2)
        padding[axis], padding[rank + axis] = begin, change - begin
    if x.batch is not None and (padding[x.batch] or padding[rank + x.batch]):
        raise MixesSamples("it cuts or pads the samples' axis")
    return g.unary(Pad, x, dtype=x.dtype, padding=tuple(padding), mode="constant")


def col2im(g: Builder, x: Operand, image_shape: Operand, block_shape: Operand, **window: Any) -> Node:
    """Col2Im: blocks added at their places, a transposed convolution with weights 0 and 1."""
    x = g.node(x)
    spatial_first(x)
    image = ints(image_shape, None, "image shape") or []
    block = ints(block_shape, None, "block shape") or []
    n = len(image)
    one_to_three(n)
    fields = Window(**window).over(x, block)
    padding, dilation = fields["padding"], fields["dilation"]
    free = [image[i] + padding[i] + padding[n + i] - (block[i] - 1) * dilation[i] - 1 for i in range(n)]
    taps = math.prod(block)
    places = [f // s + 1 for f, s in zip(free, fields["stride"], strict=True)]
    columns = g.reshape(x, (x.shape[0], x.shape[1], *places), name=g.fresh("columns"), batch=x.batch)
    channels = x.shape[1] // taps
    weight = np.tile(np.eye(taps, dtype=np.float32), (channels, 1)).reshape(channels * taps, 1, *block)
    extra = tuple(f % s for f, s in zip(free, fields["stride"], strict=True))
    return weighted(g, ConvTranspose, columns, weight, None, groups=channels, output_padding=extra, **fields)


def affine_grid(g: Builder, theta: Operand, size: Operand, *, align_corners: int = 0) -> Node:
    """AffineGrid: linear in theta, whose rows map the points of a regular grid."""
    x, final, shape = g.node(theta), g.out, g.shape
    spatial_first(x)
    extents = (ints(size, None, "size") or [])[2:]
    axes = []
    for extent in extents:
        steps = np.arange(extent, dtype=np.float64)
        axes.append(2 * steps / max(1, extent - 1) - 1 if align_corners else (2 * steps + 1) / extent - 1)
    if align_corners:
        axes = [np.zeros(1) - 1 if len(a) == 1 else a for a in axes]
    points = np.stack([*reversed(np.meshgrid(*axes, indexing="ij")), np.ones(extents)], axis=-1)
    g.out = g.fresh("points")
    mapped = dense(g, x, points.reshape(-1, points.shape[-1]), None, 2)
    moved = g.transpose(mapped, (0, 2, 1), name=g.fresh("moved"))
    return g.reshape(moved, shape, name=final, batch=x.batch)


def eye_like(g: Builder, x: Operand, *, dtype: int | None = None, k: int = 0) -> Node:
    """EyeLike: a constant."""
    if isinstance(x, Node) and x.batch is not None:
        raise MixesSamples("its matrix extends over the samples' axis")
    rows, columns = g.shape
    return g.node(np.eye(rows, columns, k=k).astype(g.dtype))


def shape_of(g: Builder, x: Operand, *, start: int = 0, end: int | None = None) -> Node:
    """Shape, of one sample."""
    return g.node(np.asarray(g.node(x).shape[start:end], np.int64))


def size_of(g: Builder, x: Operand) -> Node:
    """Size, of one sample."""
    return g.node(np.asarray(math.prod(g.node(x).shape), np.int64))


def constant_of_shape(g: Builder, shape: Operand, *, value: np.ndarray | None = None) -> Node:
    """ConstantOfShape with a constant shape."""
    extents = ints(shape, None, "shape") or []
    return g.node(np.full(extents, np.float32(0) if value is None else value.reshape(-1)[0]))


def range_(g: Builder, start: Operand, limit: Operand, delta: Operand, *, stash_type: int = 1) -> Node:
    """Range with constant bounds."""
    first, last, step = (constant(v, "range").reshape(-1)[0] for v in (start, limit, delta))
    return g.node(np.arange(first, last, step).astype(g.dtype))


LOWERINGS: dict[str, Lowering] = {
    "AffineGrid": affine_grid,
    "CenterCropPad": center_crop_pad,
    "Col2Im": col2im,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "EyeLike": eye_like,
    "Range": range_,
    "Shape": shape_of,
    "Size": size_of,
    "SpaceToDepth": space_to_depth,
    "Tile": tile,
}
