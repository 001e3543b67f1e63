# SPDX-License-Identifier: Apache-2.0
"""Operators whose results change their shape with the data (NonMaxSuppression, NonZero, ...) do not spike.

They and all that depends on them are cut off as a model of its own; the network ends where that begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir import convenience

from snncc.frontend.files.load import WEIGHTED
from snncc.frontend.normal.one_node import read_by
from snncc.frontend.normal.shapes import known_shape
from snncc.frontend.operators.foreign import RANDOM
from snncc.functions.onnx.runtime import ORT_ERRORS, session
from snncc.ir.analog_tail import AnalogTail
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.network import Array, Network
from snncc.ir.nodes import ACTIVATIONS, Node

#: Operators whose shape depends on the entries of an operand, not on its shape alone.
# fmt: off
BY_ENTRIES = frozenset((
    "AffineGrid", "BlackmanWindow", "CenterCropPad", "Col2Im", "Compress", "ConstantOfShape", "DFT", "Expand",
    "HammingWindow", "HannWindow", "If", "Loop", "MaxUnpool", "NonMaxSuppression", "NonZero", "OneHot", "Pad", "Range",
    "Reshape", "Resize", "STFT", "Scan", "Slice", "Split", "Tile", "TopK", "Unique", "Upsample",
))
# fmt: on
OF_SEVERAL = ("Sequence", "Optional", "ConcatFromSequence", "SplitToSequence")


def may_start(node: ir.Node) -> bool:
    """Whether a shape that is not known depends on data, and is not only beyond shape inference."""
    return node.domain not in ("", "ai.onnx") or node.op_type in BY_ENTRIES or node.op_type.startswith(OF_SEVERAL)


def is_read(value: ir.Value) -> bool:
    """Whether anything reads a value."""
    return bool(value.name) and (bool(value.uses()) or value.is_graph_output())


def is_open(value: ir.Value) -> bool:
    """Whether something reads a value that is no array of a known shape."""
    several = isinstance(value.type, (ir.SequenceType, ir.OptionalType))
    return is_read(value) and (several or known_shape(value) is None)


def depending(graph: ir.Graph) -> tuple[list[ir.Node], list[ir.Node], set[ir.Value]]:
    """The nodes where such shapes begin, these and all nodes that depend on them, and the values of those."""
    starts, nodes, behind = list[ir.Node](), list[ir.Node](), set[ir.Value]()
    for node in graph:
        depends = any(value in behind for value in read_by(node))
        if not depends and may_start(node) and any(map(is_open, node.outputs)):
            starts.append(node)
        elif not depends:
            continue
        nodes.append(node)
        behind.update(node.outputs)
    return starts, nodes, behind


def is_array(value: ir.Value) -> bool:
    """Whether a value is an array of numbers."""
    return isinstance(value.type, ir.TensorType) and value.dtype != ir.DataType.STRING


def names(values: Sequence[ir.Value]) -> tuple[str, ...]:
    """The values' names."""
    return tuple(str(value.name) for value in values)


def given(node: ir.Node) -> list[ir.Value]:
    """The values that a node reads, constants aside."""
    return [value for value in read_by(node) if value.const_value is None]


def weights_of(node: ir.Node) -> int:
    """How many weights a node holds."""
    constants = [v.const_value for v in read_by(node) if v.const_value is not None]
    return sum(constant.size for constant in constants) if node.op_type in WEIGHTED else 0


def split(model: ir.Model) -> tuple[ir.Model, AnalogTail, Array] | None:
    """The graph in front of the tail, the tail and its serialized model; None where there is none that runs.

    Random operators make no tail, nor does what onnxruntime refuses or what gives no arrays. `model` is left as it is.
    """
    starts, nodes, behind = depending(model.graph)
    graph = model.graph
    computed = [value for value in graph.outputs if value in behind]
    if not computed or not all(map(is_array, computed)) or RANDOM & {node.op_type for node in nodes}:
        return None
    read = list(dict.fromkeys(v for n in nodes for v in given(n) if v not in behind))
    try:
        blob = serialized(model, read, computed)
        session(blob.tobytes())
    except ORT_ERRORS:
        return None
    tail = AnalogTail(
        inputs=names(read),
        outputs=names(computed),
        starts=tuple(sorted({node.op_type for node in starts})),
        operators=len(nodes),
        weights=sum(weights_of(node) for node in nodes),
    )
    ends = dict.fromkeys(value for value in [*graph.outputs, *read] if value not in behind)
    return piece(model, list(graph.inputs), [*ends]), tail, blob


def spikes(network: Network, node: Node) -> bool:
    """Whether a node is an activation or has weights, and varies."""
    return node.name in network.varying and (isinstance(node, ACTIVATIONS) or multiply_accumulates(network, node) > 0)


def piece(model: ir.Model, inputs: list[ir.Value], outputs: list[ir.Value]) -> ir.Model:
    """A copy of a part of a model."""
    part = convenience.extract(model.graph, inputs, outputs)
    part.opset_imports.update(model.opset_imports)
    made = ir.Model(part, ir_version=10, producer_name="snncc")
    made.meta.update(model.meta)
    return made


def serialized(model: ir.Model, inputs: list[ir.Value], outputs: list[ir.Value]) -> Array:
    """A part of a model as the bytes of an ONNX file."""
    part = piece(model, inputs, outputs)
    part.graph.name = "analog_tail"
    return np.frombuffer(ir.to_proto(part).SerializeToString(deterministic=True), np.uint8)
