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


def rewrite(model: ir.Model, gemm: ir.Node) -> bool:
    """Replace one Gemm between two Reshapes that undo one another; whether it was one."""
    rows, weight, bias = (*gemm.inputs, None)[:3]
    before = None if rows is None else rows.producer()
    uses = list(gemm.outputs[0].uses())
    after = uses[0].node if len(uses) == 1 and not gemm.outputs[0].is_graph_output() else None
    if before is None or after is None or {before.op_type, after.op_type} != {"Reshape"}:
        return False
    source, result = before.inputs[0], after.outputs[0]
    flat, wanted = known_shape(rows), known_shape(result)
    if source is None or flat is None or wanted is None or gemm.attributes.get_int("transA"):
        return False
    if weight is None or weight.const_value is None or (bias is not None and bias.const_value is None):
        return False
    matrix = weight.const_value.numpy() * np.float32(gemm.attributes.get_float("alpha", 1.0))
    matrix = np.ascontiguousarray(matrix.T if gemm.attributes.get_int("transB", 0) else matrix)
    if flat != (math.prod(wanted[:-1]), len(matrix)) or wanted[-1] != matrix.shape[1]:
        return False
    added = None
    if bias is not None and bias.const_value is not None:
        added = bias.const_value.numpy() * np.float32(gemm.attributes.get_float("beta", 1.0))
        if added.ndim and added.size != added.shape[-1]:
            return False  # a bias that differs from row to row
        added = added.reshape(-1)
    name = str(result.name)

    def constant(suffix: str, array: np.ndarray) -> ir.Value:
        own = f"{name}.{suffix}"
        value = ir.Value(name=own, const_value=ir.tensor(array, name=own), shape=ir.Shape(array.shape))
        value.dtype = ir.DataType.from_numpy(array.dtype)
        model.graph.register_initializer(value)
        return value

    def put(op: str, inputs: list[ir.Value], extents: tuple[int, ...], suffix: str) -> ir.Value:
        out = ir.Value(name=f"{name}.{suffix}", shape=ir.Shape(extents), type=result.type)
        made = ir.node(op, inputs, {"allowzero": 0} if op == "Reshape" else {}, outputs=[out], name=out.name)
        model.graph.insert_before(after, made)
        return out

    shape = (*wanted[:-1], len(matrix))
    x = put("Reshape", [source, constant("shape", np.array(shape, np.int64))], shape, "rows")
    y = put("MatMul", [x, constant("weight", matrix)], wanted, "product")
    if added is not None:
        y = put("Add", [y, constant("bias", added)], wanted, "sum")
    result.name = f"{name}.before"
    y.name = name
    convenience.replace_all_uses_with(result, y, replace_graph_outputs=True)
    model.graph.remove([after, gemm], safe=True)
    return True
