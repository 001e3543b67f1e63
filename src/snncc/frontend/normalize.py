# SPDX-License-Identifier: Apache-2.0
"""Library passes that bring any export to one form: inlined, one sample, static shapes, constants folded.

Value names survive, so that every value of the normal form can be compared with the same value of the source.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants_ir

from snncc.errors import Problem, UnreadableModel, UnsupportedModel, UsageError

#: A folded constant may have this many entries; larger ones stay operators.
FOLD_LIMIT = 1 << 24
#: A dimension given as this marks the axis that carries the samples.
BATCH_MARK = "N"

Dims = tuple[int | str, ...]
EXPANDING = ("ConstantOfShape", "Expand", "Tile", "Range")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """A graph for one sample, and the axis of each input that carries the samples (None: the input has none)."""

    model: ir.Model
    batch: Mapping[str, int | None]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its local functions expanded: the graph whose value names all of snncc uses."""
    if not model.functions:
        return model
    inner = ir.from_proto(model)
    common.InlinePass()(inner)
    return ir.to_proto(inner)


def sample_axis(name: str, shape: Sequence[int | str | None], given: Dims | None) -> tuple[list[int], int | None]:
    """The shape of one sample and its batch axis, from the graph's shape and what `--shape` says.

    The batch axis is the one marked N, else axis 0 if it is dynamic or 1 (and the input has a rank of 2 or more).
    """
    if given is not None and len(given) != len(shape):
        raise UsageError(
            f"--shape {name}: {len(given)} dimensions given, the graph has {len(shape)}",
            cure=f"give all {len(shape)}, for example {name}={','.join(str(d or '?') for d in shape)}",
        )
    dims: Sequence[int | str | None] = given if given is not None else shape
    if given is not None and BATCH_MARK in given:
        axis: int | None = given.index(BATCH_MARK)
    elif dims and (not isinstance(shape[0], int) or (dims[0] == 1 and len(dims) > 1)):
        axis = 0
    else:
        axis = None
    return [1 if i == axis else d if isinstance(d, int) else -1 for i, d in enumerate(dims)], axis


def fix_inputs(model: ir.Model, shapes: Mapping[str, Dims]) -> dict[str, int | None]:
    """Give every input a static shape for one sample; raises UnsupportedModel naming each dimension left open."""
    problems, batch = [], {}
    names = {value.name for value in model.graph.inputs}
    if unknown := sorted(set(shapes) - names):
        raise UsageError(
            f"--shape: the graph has no input {unknown[0]!r}", cure=f"inputs: {', '.join(sorted(map(str, names)))}"
        )
    for value in model.graph.inputs:
        name = value.name or ""
        if value.shape is None:
            problems.append(Problem(node=name, operator="input", reason="has no shape", cure=f"--shape {name}=dims"))
            continue
        shape = [d if isinstance(d, int) else d.value for d in value.shape]
        dims, axis = sample_axis(name, shape, shapes.get(name))
        if open_axes := [i for i, d in enumerate(dims) if d < 0]:
            example = ",".join("N" if i == axis else str(d) if d >= 0 else "SIZE" for i, d in enumerate(dims))
            problems.append(
                Problem(
                    node=name,
                    operator="input",
                    reason=f"axis {', '.join(map(str, open_axes))} of {shape} is dynamic; only the samples' axis may be",
                    cure=f"--shape {name}={example}",
                )
            )
        value.shape = ir.Shape(dims)
        batch[name] = axis
    if problems:
        raise UnsupportedModel(problems)
    return batch


def may_fold(node: ir.Node) -> bool | None:
    """Fold also what the library keeps by default, but never into something huge."""
    if node.op_type in EXPANDING and node.domain in ("", "ai.onnx"):
        sizes = [
            v.const_value.numpy()
            for v in node.inputs
            if v is not None and v.const_value is not None and v.const_value.size <= 64
        ]
        if node.op_type == "Range":
            start, limit, delta = (float(s) for s in sizes)
            entries = abs(limit - start) / max(abs(delta), 1e-30)
        elif node.op_type == "Tile":
            first = node.inputs[0]
            have = first.const_value.size if first is not None and first.const_value is not None else 1
            entries = have * math.prod(int(r) for r in sizes[-1])
        else:
            entries = math.prod(max(1, int(d)) for d in sizes[-1].reshape(-1))
        return entries <= FOLD_LIMIT
    return True if node.op_type == "DequantizeLinear" else None


def normalize(model: onnx.ModelProto, shapes: Mapping[str, Dims] | None = None) -> Normal:
    """The normal form of a model.

    Raises UnsupportedModel for dynamic axes other than the samples', UsageError for a `shapes` entry that does not
    fit, UnreadableModel when the libraries cannot process the graph.
    """
    inner = ir.from_proto(inlined(model))
    common.RemoveInitializersFromInputsPass()(inner)
    batch = fix_inputs(inner, shapes or {})
    for value in inner.graph.outputs:
        value.shape = None
    for node in inner.graph:
        for out in node.outputs:
            out.shape = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("onnxscript").setLevel(logging.ERROR)
            logging.getLogger("onnx_ir").setLevel(logging.ERROR)
            common.TopologicalSortPass()(inner)
            for _ in range(3):
                common.ShapeInferencePass()(inner)
                result = fold_constants_ir(
                    inner,
                    onnx_shape_inference=True,
                    input_size_limit=FOLD_LIMIT,
                    output_size_limit=FOLD_LIMIT,
                    should_fold=may_fold,
                )
                if not result.modified:
                    break
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(inner)
            common.RemoveUnusedNodesPass()(inner)
            common.ShapeInferencePass()(inner)
            common.AddDefaultAttributesPass()(inner)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UnreadableModel(
            f"the graph cannot be simplified: {reason}", cure="check the file with onnx.checker, or export it again"
        ) from error
    return Normal(model=inner, batch=batch)
