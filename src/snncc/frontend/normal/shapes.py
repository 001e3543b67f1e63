# SPDX-License-Identifier: Apache-2.0
"""Shape inference: the library's, and the operators that it leaves out."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from snncc.frontend.normal.ceilings import close_ceiling
from snncc.frontend.normal.one_node import measured_shapes

#: Operators whose first output is shaped like their first input.
LIKE_INPUT = frozenset(
    ("GroupNormalization", "LpNormalization", "MeanVarianceNormalization", "SimplifiedLayerNormalization", "Swish")
)


def known_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """A value's shape where all of it is known."""
    return None if value is None or value.shape is None or not value.shape.is_static() else value.shape.numpy()


def known(node: ir.Node, position: int) -> np.ndarray | None:
    """The entries of a constant input, in one row."""
    value = node.inputs[position] if position < len(node.inputs) else None
    return None if value is None or value.const_value is None else value.const_value.numpy().reshape(-1)


def compressed(node: ir.Node, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that Compress with a constant condition gives."""
    condition = known(node, 1)
    if condition is None:
        return None
    axis = node.attributes.get_int("axis", None)
    extents = list(shape) if axis is not None else [math.prod(shape)]
    extents[axis or 0] = int(np.count_nonzero(condition[: extents[axis or 0]]))
    return tuple(extents)


def missing_shape(node: ir.Node) -> tuple[int, ...] | None:
    """The shape of a node's first output where the library leaves it open and it is known."""
    shape = input_shape(node)
    if shape is None:
        return None
    if node.op_type in LIKE_INPUT:
        return shape
    if node.op_type == "MaxUnpool":
        wanted = known(node, 2)
        return None if wanted is None else tuple(int(d) for d in wanted)
    if node.op_type == "TopK":  # the library fails where the indices are not asked for
        count, axis = known(node, 1), node.attributes.get_int("axis", -1) % len(shape)
        return None if count is None else tuple(int(count[0]) if i == axis else d for i, d in enumerate(shape))
    return compressed(node, shape) if node.op_type == "Compress" else None


def count_from_front(node: ir.Node) -> bool:
    """Count the axes of a node from the front; whether any was negative."""
    shape, changed = input_shape(node), False
    for name in ("axis", "axes"):
        given = node.attributes.get(name)
        if shape is None or given is None or given.type not in (ir.AttributeType.INT, ir.AttributeType.INTS):
            continue
        axes = [given.as_int()] if given.type == ir.AttributeType.INT else list(given.as_ints())
        rank = len(shape) + (len(axes) if node.op_type == "Unsqueeze" else 0)
        if min(axes, default=0) < 0:
            front = [axis % rank if rank else axis for axis in axes]
            node.attributes.add(ir.AttrInt64(name, front[0]) if name == "axis" else ir.AttrInt64s(name, front))
            changed = True
    return changed


def without_negative_axes(model: ir.Model) -> None:
    """Count all axes from the front before opset 11: they may not be negative there, but exporters write them and
    onnxruntime takes them. Shape inference gives no shape then, and for Unsqueeze a wrong one."""
    changed = True
    while changed:
        changed = False
        for node in model.graph:
            if node.domain in ("", "ai.onnx") and count_from_front(node):
                changed = True
                if node.op_type == "Unsqueeze":
                    break
        if changed:
            forget_shapes(model)
            common.ShapeInferencePass()(model)


def input_shape(node: ir.Node) -> tuple[int, ...] | None:
    """The shape of a node's first input where it is known."""
    return known_shape(node.inputs[0] if node.inputs else None)


def infer_shapes(model: ir.Model) -> None:
    """Give every value the shape that follows from the inputs' shapes and the constants."""
    common.ShapeInferencePass()(model)
    if max(model.opset_imports.get("", 0), model.opset_imports.get("ai.onnx", 0)) < 11:
        without_negative_axes(model)
    while any(close_ceiling(node, shape[2:]) for node in model.graph if (shape := input_shape(node))):
        forget_shapes(model)
        common.ShapeInferencePass()(model)
    while sum(fill_in(model, node) for node in model.graph):
        common.ShapeInferencePass()(model)


def forget_shapes(model: ir.Model) -> None:
    """Take the shape of every value that a node computes."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None


def fill_in(model: ir.Model, node: ir.Node) -> bool:
    """Give a node's outputs the shapes that the library leaves open; whether any was found."""
    if not node.outputs or known_shape(node.outputs[0]) is not None:
        return False
    measured = measured_shapes(node, model.opset_imports) or ()
    for value, (dims, kind) in zip(node.outputs, measured, strict=False):
        value.shape, value.dtype = ir.Shape(dims), kind
    if node.domain not in ("", "ai.onnx"):
        return bool(measured)
    shape, first = missing_shape(node), node.inputs[0] if node.inputs else None
    if shape is None or first is None or first.dtype is None:
        return bool(measured)
    node.outputs[0].shape, node.outputs[0].dtype = ir.Shape(shape), first.dtype
    return True
