# SPDX-License-Identifier: Apache-2.0
"""Lowering of Resize and Upsample: along each axis a gather (nearest) or a matrix of interpolation weights.

Coordinates are computed in float32, as onnxruntime does, so that ties of nearest modes fall to the same side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported
from snncc.frontend.operators.linear import constant, dense
from snncc.ir.network import Array
from snncc.ir.nodes import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis that is resized."""

    axis: int
    before: int
    after: int
    scale: float
    begin: float = 0.0
    end: float = 1.0


def coordinates(a: Axis, transformation: str) -> Array:
    """Where each output entry lies among the input entries, by `coordinate_transformation_mode`."""
    i, one, half = np.arange(a.after, dtype=np.float32), np.float32(1), np.float32(0.5)
    scale, before, after = np.float32(a.scale), np.float32(a.before), np.float32(a.after)
    match transformation:
        case "asymmetric":
            return np.asarray(i / scale)
        case "pytorch_half_pixel" if a.after == 1:
            return np.zeros(1, np.float32)
        case "half_pixel" | "pytorch_half_pixel":
            return np.asarray((i + half) / scale - half)
        case "half_pixel_symmetric":
            offset = before / 2 * (one - after / (scale * before))
            return np.asarray(offset + (i + half) / scale - half)
        case "tf_half_pixel_for_nn":
            return np.asarray((i + half) / scale)
        case "align_corners":
            return np.asarray(i * (before - one) / (after - one) if a.after > 1 else np.zeros(1, np.float32))
        case "tf_crop_and_resize":
            begin, end = np.float32(a.begin), np.float32(a.end)
            if a.after == 1:
                return np.asarray([half * (begin + end) * (before - one)])
            return np.asarray(begin * (before - one) + i * ((end - begin) * (before - one) / (after - one)))
        case _:
            raise Unsupported(f"coordinate_transformation_mode={transformation}", cure="use half_pixel")


def nearest(x: Array, a: Axis, mode: str) -> Array:
    """The nearest entry to each coordinate."""
    match mode:
        case "round_prefer_floor":
            index = np.ceil(x - np.float32(0.5))
        case "round_prefer_ceil":
            index = np.floor(x + np.float32(0.5))
        case "floor":
            index = np.floor(x)
        case "ceil":
            index = np.ceil(x)
        case _:  # opset 10 and older
            index = np.ceil(x) if a.scale < 1 else np.trunc(x)
    return np.asarray(index.clip(0, a.before - 1).astype(np.int64))


def kernel(mode: str, d: Array, cubic: float) -> Array:
    """The interpolation kernel at distance d: a hat, or Keys' cubic."""
    d = np.abs(d)
    if mode == "linear":
        return np.asarray(np.maximum(0, 1 - d))
    near = ((cubic + 2) * d - (cubic + 3)) * d * d + 1
    far = ((cubic * d - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How entries are made of their neighbours: the operator's attributes."""

    mode: str
    transformation: str
    nearest_mode: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float

    @property
    def crops(self) -> bool:
        """Whether a region is cut out first, so that entries may lie outside."""
        return self.transformation == "tf_crop_and_resize"

    def changes(self, a: Axis) -> bool:
        """Whether an axis becomes another."""
        return a.before != a.after or a.scale != 1 or (self.crops and (a.begin, a.end) != (0, 1))

    def weights(self, x: Array, a: Axis) -> Array:
        """The matrix (after, before) of interpolation; taps outside take the entry at the edge, or are left out."""
        if self.mode == "nearest":
            return np.asarray(np.eye(a.before)[nearest(x, a, self.nearest_mode)])
        stretch = min(1.0, a.scale) if self.antialias else 1.0
        reach = int(np.ceil((1 if self.mode == "linear" else 2) / stretch)) + 1
        matrix = np.zeros((a.after, a.before))
        for row, centre in enumerate(x.astype(np.float64)):
            taps = np.arange(np.floor(centre) - reach, np.floor(centre) + reach + 1)
            share = kernel(self.mode, (taps - centre) * stretch, self.cubic)
            if self.exclude_outside:
                share = np.where((taps < 0) | (taps > a.before - 1), 0, share)
            np.add.at(matrix[row], taps.clip(0, a.before - 1).astype(np.int64), share / share.sum())
        return matrix


def interpolated(g: Builder, x: Node, axes: Sequence[Axis], how: Sampling) -> Node:
    """x resized along the axes, one after the other."""
    final = g.out
    fills = how.crops and how.extrapolation != 0
    axes = [a for a in axes if how.changes(a)]
    if any(a.axis == x.batch for a in axes):
        raise MixesSamples("it resizes the samples' axis")
    inside = np.ones((), bool)
    for a in axes:
        at = coordinates(a, how.transformation)
        lost = ((at < 0) | (at > a.before - 1)) & how.crops
        inside = inside & ~lost.reshape(-1, *[1] * (len(x.shape) - 1 - a.axis))
        g.out = final if a is axes[-1] and not fills else g.fresh(f"axis{a.axis}")
        if how.mode == "nearest" and not lost.any():
            shape = tuple(a.after if i == a.axis else d for i, d in enumerate(x.shape))
            index = g.node(nearest(at, a, how.nearest_mode), "index")
            x = g.operator("gather", x, index, batch=x.batch, shape=shape, axis=a.axis)
        else:
            x = dense(g, x, np.where(lost[:, None], 0, how.weights(at, a)), None, a.axis)
    g.out = final
    if fills:
        return g.affine(x, None, np.where(inside, 0, how.extrapolation).astype(np.float32))
    return x if axes else g.reshape(x, x.shape, batch=x.batch)


def extents(
    x: Node, along: Sequence[int], scales: Array | None, sizes: Array | None, policy: str
) -> list[tuple[int, float]]:
    """The size and the scale of each axis."""
    if sizes is None:
        given = np.asarray(scales, np.float32).reshape(-1)
        return [(int(np.floor(x.shape[a] * s)), float(s)) for a, s in zip(along, given, strict=True)]
    ratios = [np.float32(size) / np.float32(x.shape[a]) for a, size in zip(along, sizes.reshape(-1), strict=True)]
    if policy == "stretch":
        return [(int(size), float(r)) for size, r in zip(sizes.reshape(-1), ratios, strict=True)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [(int(np.floor(ratio * np.float32(x.shape[a]) + np.float32(0.5))), float(ratio)) for a in along]


def resize(
    g: Builder,
    x: Operand,
    second: Operand = None,
    third: Operand = None,
    fourth: Operand = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str | None = None,
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str | None = None,
) -> Node:
    """Resize by constant scales or to constant sizes; inputs (X, roi, scales, sizes), in opset 10 (X, scales)."""
    x = g.node(x)
    roi, scales, sizes = (None, second, None) if g.opset < 11 else (second, third, fourth)
    known = [None if v is None or 0 in v.shape else constant(v, "scale, size or roi") for v in (roi, scales, sizes)]
    rank = len(x.shape)
    along = [a % rank for a in axes] if axes is not None else list(range(rank))
    transformation = coordinate_transformation_mode or ("asymmetric" if g.opset < 11 else "half_pixel")
    found = extents(x, along, known[1], known[2], keep_aspect_ratio_policy)
    bounds = np.zeros(2 * len(along)) if known[0] is None else known[0].reshape(-1)
    begin, end = bounds[: len(along)], bounds[len(along) :]
    plan = [
        Axis(axis=a, before=x.shape[a], after=size, scale=scale, begin=float(b), end=float(e))
        for a, (size, scale), b, e in zip(along, found, begin, end, strict=True)
    ]
    how = Sampling(
        mode="linear" if mode == "bilinear" else mode,
        transformation=transformation,
        nearest_mode=nearest_mode or ("simple" if g.opset < 11 else "round_prefer_floor"),
        cubic=cubic_coeff_a,
        exclude_outside=bool(exclude_outside),
        antialias=bool(antialias),
        extrapolation=extrapolation_value,
    )
    return interpolated(g, x, plan, how)


def upsample(
    g: Builder,
    x: Operand,
    scales_input: Operand = None,
    *,
    mode: str = "nearest",
    scales: Sequence[float] | None = None,
) -> Node:
    """Upsample, the predecessor of Resize."""
    given = scales_input if scales is None else np.asarray(scales, np.float32)
    return resize(g, x, given, mode=mode)


LOWERINGS: dict[str, Lowering] = {"Resize": resize, "Upsample": upsample}
