# SPDX-License-Identifier: Apache-2.0
"""The floor of lowering: an ONNX node that onnxruntime runs is carried along as a model of that one node.

What such a node does to the samples is not known, so it is tried: three random samples at once must give what
each gives alone, joined along one axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from snncc.frontend.normal.one_node import LARGEST, one_node_model, read_by
from snncc.frontend.operators.builder import Builder, MixesSamples, Operand
from snncc.functions.onnx.runtime import ORT_ERRORS, foreign
from snncc.ir.network import Array
from snncc.ir.nodes import Foreign, Node

#: Operators whose result differs from run to run.
RANDOM = frozenset(
    ("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)


class NotRunnable(Exception):
    """onnxruntime does not run the node."""


def exists(node: ir.Node) -> bool:
    """Whether ONNX has this operator."""
    return onnx.defs.has(node.op_type, "" if node.domain == "ai.onnx" else node.domain)


def samples_of(node: Node, count: int, rng: np.random.Generator) -> list[Array]:
    """Random values of a node for single samples; one that has no samples is the same for all."""
    drawn = []
    for _ in range(count if node.batch is not None else 1):
        if node.dtype == "float32":
            drawn.append(rng.uniform(0.1, 1, node.shape).astype(np.float32))
        else:
            drawn.append(rng.integers(0, 2, node.shape).astype(node.dtype))
    return drawn * (count if node.batch is None else 1)


def batch_axis(
    blob: Array, inputs: Sequence[Node], output: int, shape: tuple[int, ...], *, batched: bool
) -> int | None:
    """The axis of an output that carries the samples. Raises MixesSamples where there is none."""
    rng = np.random.default_rng(0)
    if any(math.prod(x.shape) > LARGEST for x in inputs):
        raise NotRunnable(f"it reads more than {LARGEST:,} numbers")
    drawn = [samples_of(x, 3, rng) for x in inputs]
    single = [foreign(*[d[i] for d in drawn], blob, output=output) for i in range(3)]
    if single[0].shape != shape:
        raise NotRunnable(f"onnxruntime gives it the shape {list(single[0].shape)}, not {list(shape)}")
    if not batched:
        return None
    stacked = [d[0] if x.batch is None else np.concatenate(d, axis=x.batch) for x, d in zip(inputs, drawn, strict=True)]
    try:
        together = foreign(*stacked, blob, output=output)
    except ORT_ERRORS as error:
        raise MixesSamples("onnxruntime runs it for one sample only") from error
    for axis in range(len(shape)):
        joined = np.concatenate(single, axis=axis)
        if joined.shape == together.shape and np.allclose(joined, together, rtol=1e-4, atol=1e-5, equal_nan=True):
            return axis
    raise MixesSamples("its result for several samples is not made of the results for each")


def refuse_to_carry(node: ir.Node) -> None:
    """Raise NotRunnable for an operator whose result is not a function of one sample."""
    if node.op_type in RANDOM and node.domain in ("", "ai.onnx"):
        raise NotRunnable("its result is random")
    if node.op_type == "BatchNormalization" and node.attributes.get_int("training_mode"):
        raise NotRunnable("its result depends on the other samples of the batch")


def lower_foreign(
    g: Builder, node: ir.Node, operand_of: Callable[[ir.Value], Operand], opsets: Mapping[str, int]
) -> list[Node | None]:
    """`Foreign` nodes for the outputs that are read. Raises NotRunnable where onnxruntime refuses."""
    refuse_to_carry(node)
    values = read_by(node)
    operands = {str(v.name): x for v in values if isinstance(x := operand_of(v), Node)}
    dims = {n: ["N" if i == x.batch else d for i, d in enumerate(x.shape)] for n, x in operands.items()}
    inputs = list(operands.values())
    model = one_node_model(node, values, dims, opsets)
    blob = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
    results: list[Node | None] = [None] * len(node.outputs)
    key = None
    batched = any(x.batch is not None for x in inputs)
    names, operator = tuple(x.name for x in inputs), f"{node.domain}.{node.op_type}".lstrip(".")
    for index in filter(g.select, range(len(node.outputs))):
        key = key or g.array("foreign", blob)
        try:
            axis = batch_axis(blob, inputs, index, g.shape, batched=batched)
        except ORT_ERRORS as error:
            raise NotRunnable(str(error).splitlines()[0][:200]) from error
        fields: dict[str, Any] = {"operator": operator, "model": key, "output": index}
        results[index] = g.add(Foreign(name=g.out, inputs=names, shape=g.shape, batch=axis, dtype=g.dtype, **fields))
    return results
