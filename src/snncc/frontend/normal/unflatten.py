# SPDX-License-Identifier: Apache-2.0
"""Matrices on flattened rows: Reshape, Gemm, Reshape become one product on the axes as they were.

Exporters flatten (steps, samples, features) to rows of which every other belongs to another sample; no axis carries
the samples then. Without the flattening one does.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from onnx_ir import convenience
from onnx_ir.passes import common

from snncc.frontend.normal.control import initializer
from snncc.frontend.normal.shapes import known_shape


def unflattened(model: ir.Model) -> ir.Model | None:
    """A copy of a normal form without such flattening; None where there is none."""
    copy = model.clone()
    copy.meta.update(model.meta)
    changed = [rewrite(copy, node) for node in list(copy.graph) if node.op_type == "Gemm"]
    if not any(changed):
        return None
    common.RemoveUnusedNodesPass()(copy)
    return copy


def between_reshapes(gemm: ir.Node) -> tuple[ir.Value, ir.Node] | None:
    """What is flattened in front of a Gemm and the Reshape behind it, where it stands between two."""
    rows, output = gemm.inputs[0], gemm.outputs[0]
    before = None if rows is None else rows.producer()
    uses = list(output.uses())
    if before is None or len(uses) != 1 or output.is_graph_output():
        return None
    after, source = uses[0].node, before.inputs[0]
    return (source, after) if source is not None and before.op_type == after.op_type == "Reshape" else None


def operands(gemm: ir.Node) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The constant matrix (in, out) and the bias (out,) of a Gemm on rows; None where it has others."""
    weight, bias = (*gemm.inputs[1:], None)[:2]
    if weight is None or weight.const_value is None or gemm.attributes.get_int("transA"):
        return None
    matrix = weight.const_value.numpy() * np.float32(gemm.attributes.get_float("alpha", 1.0))
    matrix = np.ascontiguousarray(matrix.T if gemm.attributes.get_int("transB", 0) else matrix)
    if bias is None:
        return matrix, None
    if bias.const_value is None:
        return None
    added = bias.const_value.numpy() * np.float32(gemm.attributes.get_float("beta", 1.0))
    if added.ndim and added.size != added.shape[-1]:
        return None  # a bias that differs from row to row
    return matrix, added.reshape(-1)


def rewrite(model: ir.Model, gemm: ir.Node) -> bool:
    """Replace one Gemm between two Reshapes that undo one another; whether it was one."""
    place, constants = between_reshapes(gemm), operands(gemm)
    if place is None or constants is None:
        return False
    (source, after), (matrix, bias) = place, constants
    result = after.outputs[0]
    flat, wanted = known_shape(gemm.inputs[0]), known_shape(result)
    if wanted is None or flat != (math.prod(wanted[:-1]), len(matrix)) or wanted[-1] != matrix.shape[1]:
        return False
    name = str(result.name)

    def constant(suffix: str, array: np.ndarray) -> ir.Value:
        return initializer(model.graph, f"{name}.{suffix}", array)

    def put(op: str, inputs: list[ir.Value], extents: tuple[int, ...], suffix: str) -> ir.Value:
        out = ir.Value(name=f"{name}.{suffix}", shape=ir.Shape(extents), type=result.type)
        made = ir.node(op, inputs, {"allowzero": 0} if op == "Reshape" else {}, outputs=[out], name=out.name)
        model.graph.insert_before(after, made)
        return out

    shape = (*wanted[:-1], len(matrix))
    x = put("Reshape", [source, constant("shape", np.array(shape, np.int64))], shape, "rows")
    y = put("MatMul", [x, constant("weight", matrix)], wanted, "product")
    if bias is not None:
        y = put("Add", [y, constant("bias", bias)], wanted, "sum")
    result.name = f"{name}.before"
    y.name = name
    convenience.replace_all_uses_with(result, y, replace_graph_outputs=True)
    model.graph.remove([after, gemm], safe=True)
    return True
