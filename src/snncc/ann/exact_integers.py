# SPDX-License-Identifier: Apache-2.0
"""Products of 8-bit codes that are the same on every CPU.

onnxruntime's kernels for products of signed with unsigned codes add pairs in saturating 16 bits on x86 without VNNI, so
that sums of int8 models depend on the machine. Products of unsigned codes are exact everywhere:

    (a - za) (b - zb) = (a - za) ((b + 128) - (zb + 128))

Its option session.x64quantprecision does this for constant right operands of some operators, when it optimises.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Where the two operands of a product of codes and their zero points stand among a node's inputs.
PRODUCTS = {
    "ConvInteger": ((0, 2), (1, 3)),
    "MatMulInteger": ((0, 2), (1, 3)),
    "QLinearConv": ((0, 2), (3, 5)),
    "QLinearMatMul": ((0, 2), (3, 5)),
}


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from graphs(inner)


def element_types(graph: onnx.GraphProto) -> dict[str, int]:
    """The element types of the values that a graph declares, holds or has inferred."""
    infos = (*graph.input, *graph.output, *graph.value_info)
    return {info.name: info.type.tensor_type.elem_type for info in infos} | {
        t.name: t.data_type for t in graph.initializer
    }


def exact_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with both operands of each product of 8-bit codes unsigned; itself where it has none of mixed signs."""
    if not any(node.op_type in PRODUCTS for graph in graphs(model.graph) for node in graph.node):
        return model
    inferred = onnx.shape_inference.infer_shapes(model)
    exact, known = onnx.ModelProto(), dict[str, int]()
    exact.CopyFrom(model)
    for graph, typed in zip(graphs(exact.graph), graphs(inferred.graph), strict=True):
        known |= element_types(typed)  # an inner graph reads the values of those around it
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            operands = PRODUCTS.get(node.op_type, ())
            signs = [known.get(node.input[at]) for at, _ in operands]
            if set(signs) == {TensorProto.INT8, TensorProto.UINT8}:
                graph.node.extend(_unsigned(graph, node, *operands[signs.index(TensorProto.INT8)]))
            graph.node.append(node)
    return exact


def _unsigned(graph: onnx.GraphProto, node: onnx.NodeProto, operand: int, zero: int) -> list[onnx.NodeProto]:
    """Make an operand of `node` and its zero point unsigned; the nodes that compute them."""
    names = list(node.input) + [""] * (zero + 1 - len(node.input))
    prefix, added = f"{node.output[0]}/unsigned", []
    graph.initializer.append(numpy_helper.from_array(np.array(128, np.int32), f"{prefix}/128"))
    for at in (operand, zero):
        if not names[at]:  # a zero point of zero may be left out
            graph.initializer.append(numpy_helper.from_array(np.array(128, np.uint8), f"{prefix}/{at}"))
        else:
            wide, moved = f"{prefix}/{at}/wide", f"{prefix}/{at}/moved"
            added += [
                helper.make_node("Cast", [names[at]], [wide], to=TensorProto.INT32),
                helper.make_node("Add", [wide, f"{prefix}/128"], [moved]),
                helper.make_node("Cast", [moved], [f"{prefix}/{at}"], to=TensorProto.UINT8),
            ]
        names[at] = f"{prefix}/{at}"
    node.input[:] = names
    return added
