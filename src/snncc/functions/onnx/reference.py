# SPDX-License-Identifier: Apache-2.0
"""A node's function in NumPy: `onnx.reference` on what its function is in ONNX, in the float type of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from onnx import helper
from onnx.reference import ReferenceEvaluator

from snncc.functions.onnx.graph import IR_VERSION, OPSET, Graph, Shared, tensor_type
from snncc.functions.onnx.table import FUNCTIONS
from snncc.neurons.node import Node

Array: TypeAlias = npt.NDArray[Any]
#: Of an input: its type and shape.
Kind: TypeAlias = tuple[np.dtype[Any], tuple[int, ...]]


@lru_cache(maxsize=4096)
def evaluator(
    function: str, options: tuple[tuple[str, Any], ...], node: tuple[Any, ...], kinds: tuple[Kind, ...], float_type: Any
) -> tuple[ReferenceEvaluator, np.dtype[Any]]:
    """A graph of one function, and the type of its value; `node`: its shape and batch axis."""
    names = tuple(f"x{i}" for i in range(len(kinds)))
    shapes = {name: shape for name, (_, shape) in zip(names, kinds, strict=True)}
    g = Graph(Shared(float_type=np.dtype(float_type), names={*names}, shapes=shapes))
    for name, (dtype, _) in zip(names, kinds, strict=True):
        g.declare(name, dtype)
    shape, batch = node
    made = FUNCTIONS[function](g, Node(name="y", inputs=names, shape=shape, batch=batch), *names, **dict(options))
    y = g.op("Identity", made)
    inputs = [helper.make_tensor_value_info(name, tensor_type(g.kind(name)), shapes[name]) for name in names]
    outputs = [helper.make_tensor_value_info(y, tensor_type(g.kind(y)), None)]
    graph = helper.make_graph(g.nodes, function, inputs, outputs, g.shared.initializers)
    imports = [helper.make_opsetid("", OPSET)]
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)), g.kind(y)


def evaluate(node: Node, inputs: Sequence[Array]) -> Array:
    """The value of a node without arrays of its own; floats in the widest type among the inputs, else in float32."""
    floats = [x.dtype for x in inputs if x.dtype.kind == "f"]
    float_type = np.result_type(*floats) if floats else np.dtype(np.float32)
    given = [x.astype(float_type, copy=False) if x.dtype.kind == "f" else x for x in inputs]
    call, kinds = node.call(), tuple((x.dtype, x.shape) for x in given)
    ready, kind = evaluator(call.function, tuple(call.options.items()), (node.shape, node.batch), kinds, float_type)
    (y,) = ready.run(None, {f"x{i}": x for i, x in enumerate(given)})
    return np.asarray(y, kind)
