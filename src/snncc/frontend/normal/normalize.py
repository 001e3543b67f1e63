# SPDX-License-Identifier: Apache-2.0
"""Library passes that bring any export to one form: inlined, one sample, static shapes, constants folded.

Value names survive, so that every value of the normal form can be compared with the same value of the source.
"""

from __future__ import annotations

import logging
import math
import warnings

import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants_ir

from snncc.errors import UnreadableModel
from snncc.frontend.normal.control import expand_control
from snncc.frontend.normal.shapes import infer_shapes
from snncc.names import safe_name

#: A folded constant may have this many entries; larger ones stay operators.
FOLD_LIMIT = 1 << 24
#: What the libraries raise for graphs that are not sound.
LIBRARY = (
    *(RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError),
    *(ArithmeticError, NotImplementedError, RecursionError),
)
#: Where a normal form keeps the model that it was made of.
SOURCE = "source"
EXPANDING = ("ConstantOfShape", "Expand", "Tile", "Range")


def may_fold(node: ir.Node) -> bool | None:
    """Fold also what the library keeps by default, but never into something huge."""
    if node.op_type in EXPANDING and node.domain in ("", "ai.onnx"):
        sizes = [
            v.const_value.numpy()
            for v in node.inputs
            if v is not None and v.const_value is not None and v.const_value.size <= 64
        ]
        if node.op_type == "Range":
            start, limit, delta = (float(s.reshape(-1)[0]) for s in sizes)
            entries = abs(limit - start) / max(abs(delta), 1e-30)
        elif node.op_type == "Tile":
            first = node.inputs[0]
            have = first.const_value.size if first is not None and first.const_value is not None else 1
            entries = have * math.prod(int(r) for r in sizes[-1])
        else:
            entries = math.prod(max(1, int(d)) for d in sizes[-1].reshape(-1))
        return entries <= FOLD_LIMIT
    return True if node.op_type == "DequantizeLinear" else None


def normalize(model: onnx.ModelProto, samples: int = 1) -> ir.Model:
    """The normal form, for one sample (or more), of a model that `samples_first` has prepared.

    Raises UnreadableModel when the libraries cannot process the graph.
    """
    try:
        inner = ir.from_proto(model)
        common.RemoveInitializersFromInputsPass()(inner)
        for value in inner.graph.inputs:
            dims = [d if isinstance(d, int) else samples for d in value.shape or ()]
            value.shape = ir.Shape(dims)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("onnxscript").setLevel(logging.ERROR)
            logging.getLogger("onnx_ir").setLevel(logging.ERROR)
            common.TopologicalSortPass()(inner)
            for _ in range(8):
                infer_shapes(inner)
                result = fold_constants_ir(
                    inner,
                    onnx_shape_inference=True,
                    input_size_limit=FOLD_LIMIT,
                    output_size_limit=FOLD_LIMIT,
                    should_fold=may_fold,
                )
                if not expand_control(inner) and not result.modified:
                    break
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(inner)
            common.RemoveUnusedNodesPass()(inner)
            infer_shapes(inner)
            common.AddDefaultAttributesPass()(inner)
    except LIBRARY as error:
        reason = safe_name(str(error.__cause__ or error).partition("\n")[0] or type(error).__name__)
        raise UnreadableModel(
            f"the graph cannot be simplified: {reason}", cure="check the file with onnx.checker, or export it again"
        ) from error
    require_computed(inner.graph)
    inner.meta[SOURCE] = model
    return inner


def require_computed(graph: ir.Graph) -> None:
    """Raise UnreadableModel for a value that is read but comes from nowhere."""
    known = {id(value) for value in (*graph.inputs, *graph.initializers.values())}
    known |= {id(value) for node in graph for value in node.outputs}
    for value in (*graph.outputs, *(value for node in graph for value in node.inputs)):
        if value is not None and value.name and id(value) not in known:
            raise UnreadableModel(
                f"'{safe_name(value.name)}' is read but not computed by any node",
                cure="check the file with onnx.checker, or export it again",
            )
