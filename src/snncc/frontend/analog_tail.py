# SPDX-License-Identifier: Apache-2.0
"""Operators whose results change their shape with the data (NonMaxSuppression, NonZero, ...) do not spike.

The first of them and all that depends on it are cut off as a model of its own; the network ends where it begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from snncc.execute.torch_foreign import foreign_session
from snncc.frontend.foreign import ORT_ERRORS, RANDOM, read_by
from snncc.frontend.load import WEIGHTED
from snncc.ir.analog_tail import AnalogTail
from snncc.ir.network import Array

#: The name of the array that holds the tail's model.
ARRAY = "analog_tail"


def is_open(value: ir.Value) -> bool:
    """Whether something reads a value whose shape is not known."""
    used = bool(value.name) and (bool(value.uses()) or value.is_graph_output())
    return used and (value.shape is None or not all(isinstance(d, int) for d in value.shape))


def split(model: ir.Model) -> tuple[ir.Model, AnalogTail, Array] | None:
    """The graph in front of the tail, the tail, and its serialized model; None where there is none that runs.

    A tail whose operators are random, or which onnxruntime refuses, is no tail; nor is what gives no tensors.
    """
    starts, behind = [], set[ir.Value]()
    nodes = []
    for node in model.graph:
        depends = any(value in behind for value in read_by(node))
        if not depends and any(is_open(value) for value in node.outputs):
            starts.append(node)
        if depends or (starts and node is starts[-1]):
            nodes.append(node)
            behind.update(node.outputs)
    if not starts or any(n.op_type in RANDOM for n in nodes):
        return None
    computed = [value for value in model.graph.outputs if value in behind]
    blob = serialized(model, nodes, behind, computed)
    if blob is None or not computed:
        return None
    read = dict.fromkeys(v for n in nodes for v in read_by(n) if v not in behind and v.const_value is None)
    inputs = tuple(str(value.name) for value in read)
    tail = AnalogTail(
        inputs=inputs,
        outputs=tuple(str(value.name) for value in computed),
        starts=tuple(sorted({node.op_type for node in starts})),
        operators=len(nodes),
        weights=sum(v.const_value.size for n in nodes if n.op_type in WEIGHTED for v in n.inputs if constant(v)),
        model=ARRAY,
    )
    kept = [str(value.name) for value in model.graph.outputs if value not in behind]
    return front(model, list(dict.fromkeys([*kept, *inputs])), {str(node.outputs[0].name) for node in nodes}), tail, blob
