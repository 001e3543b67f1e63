# SPDX-License-Identifier: Apache-2.0
"""Operators that a network carries as ONNX nodes: put back into a graph of this version."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, version_converter

from snncc.functions.onnx.graph import OPSET, Graph
from snncc.neurons.node import Node

Array: TypeAlias = npt.NDArray[Any]


def current(model: Array) -> onnx.ModelProto | None:
    """The one-node model in the version that is written; None where onnx can't convert it."""
    found = onnx.load_model_from_string(model.tobytes())
    inner = any(
        a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in found.graph.node[0].attribute
    )
    if inner or any(entry.domain for entry in found.opset_import):
        return None
    if found.opset_import[0].version == OPSET:
        return found
    try:
        converted: onnx.ModelProto = version_converter.convert_version(found, OPSET)
    except (RuntimeError, version_converter.ConvertError):  # no adapter for this operator
        return None
    return converted


def foreign(g: Graph, node: Node, *operands: str | Array, output: int) -> str:
    """Output number `output` of the model in the last operand, whose inputs are the others."""
    *inputs, array = operands
    model = current(np.asarray(array))
    if model is None:
        raise TypeError(f"{node.name} was not checked before")
    names: dict[str, str] = {"": ""}
    for given, value in zip(inputs, model.graph.input, strict=True):
        wanted = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        names[value.name] = g.floating(str(given)) if wanted.kind == "f" else g.cast(str(given), wanted)
    for tensor in model.graph.initializer:
        names[tensor.name] = g.constant(numpy_helper.to_array(tensor))
    for inner in model.graph.node:
        made = onnx.NodeProto()
        made.CopyFrom(inner)
        made.name = ""
        del made.input[:], made.output[:]
        made.input.extend(names[name] for name in inner.input)
        for name in inner.output:
            names[name] = g.fresh(f"{g.scope}/{inner.op_type.lower()}") if name else ""
        made.output.extend(names[name] for name in inner.output)
        g.nodes.append(made)
    return g.declare(names[model.graph.output[output].name], g.float_type if node.dtype == "float32" else node.dtype)
