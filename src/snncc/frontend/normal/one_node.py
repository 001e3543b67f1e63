# SPDX-License-Identifier: Apache-2.0
"""One ONNX node as a model of its own, and the shapes that it gives when onnxruntime tries it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx_ir import traversal

from snncc.functions.onnx.runtime import ORT_ERRORS, foreign
from snncc.ir.network import Array


def captured(node: ir.Node) -> list[ir.Value]:
    """The values of the main graph that the node's bodies read."""
    found: dict[str, ir.Value] = {}
    for attribute in node.attributes.values():
        if attribute.type != ir.AttributeType.GRAPH:
            continue
        body = attribute.as_graph()
        inner = [*traversal.RecursiveGraphIterator(body)]
        own = {v for n in inner for v in n.outputs} | set(body.inputs) | set(body.initializers.values())
        for n in inner:
            for a in n.attributes.values():
                if a.type == ir.AttributeType.GRAPH:
                    own |= set(a.as_graph().inputs) | set(a.as_graph().initializers.values())
        for value in [v for n in inner for v in n.inputs] + list(body.outputs):
            if value is not None and value.name and value not in own:
                found[value.name] = value
    return list(found.values())


def one_node_model(
    node: ir.Node,
    values: Sequence[ir.Value],
    dims: Mapping[str, Sequence[int | str]],
    opsets: Mapping[str, int],
) -> onnx.ModelProto:
    """The node alone: values that `dims` names are inputs, the others constants inside."""
    proto = ir.to_proto(node)
    proto.name = node.op_type
    for i, name in enumerate(proto.output):
        if not name:  # onnxruntime 1.31 crashes on a Split that lacks an output
            proto.output[i] = f"unused{i}"
    inputs, constants = [], []
    for value in values:
        name = str(value.name)
        if name in dims:
            kind = int(value.dtype) if value.dtype is not None else onnx.TensorProto.FLOAT
            inputs.append(helper.make_tensor_value_info(name, kind, dims[name]))
        elif value.const_value is not None:
            constants.append(onnx.numpy_helper.from_array(np.asarray(value.const_value.numpy()), name))
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output]
    graph = helper.make_graph([proto], "foreign", inputs, outputs, constants)
    imports = [helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items())]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, producer_name="snncc")


def read_by(node: ir.Node) -> list[ir.Value]:
    """The values that a node and its bodies read, each once."""
    return list({str(v.name): v for v in [*node.inputs, *captured(node)] if v is not None and v.name}.values())


#: Entries of a value that a trial run may make up.
LARGEST = 1 << 26


def measured_shapes(node: ir.Node, opsets: Mapping[str, int]) -> list[tuple[tuple[int, ...], ir.DataType]] | None:
    """The shapes and types of a node's outputs, found by running it on zeros and random numbers; None if they differ.

    Only for operators of onnxruntime and for control flow: ONNX's other operators leave a shape open on purpose.
    """
    if node.domain in ("", "ai.onnx") and node.op_type not in ("If", "Loop", "Scan"):
        return None
    values = read_by(node)
    varying = [value for value in values if value.const_value is None]
    forms = [form for value in varying if (form := small_form(value)) is not None]
    if len(forms) < len(varying):
        return None
    dims = {str(v.name): extents for v, (extents, _) in zip(varying, forms, strict=True)}
    rng = np.random.default_rng(0)
    drawn = [2 * rng.random(extents) for extents in dims.values()]
    types = [kind for _, kind in forms]
    try:
        blob = np.frombuffer(one_node_model(node, values, dims, opsets).SerializeToString(), np.uint8)
        found = [outputs_of(blob, len(node.outputs), [factor * x for x in drawn], types) for factor in (0, 1)]
    except ORT_ERRORS:
        return None
    return found[0] if found[0] == found[1] else None


def outputs_of(
    blob: Array, count: int, inputs: Sequence[Array], types: Sequence[np.dtype[Any]]
) -> list[tuple[tuple[int, ...], ir.DataType]]:
    """The shapes and types of the outputs of a one-node model for inputs cast to their types."""
    feeds = [x.astype(kind) for x, kind in zip(inputs, types, strict=True)]
    results = [foreign(*feeds, blob, output=i) for i in range(count)]
    return [(r.shape, ir.DataType.from_numpy(r.dtype)) for r in results]


def small_form(value: ir.Value) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """The shape and type of a value that is small enough to be made up."""
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return None
    extents = value.shape.numpy()
    return (extents, value.dtype.numpy()) if math.prod(extents) <= LARGEST else None
