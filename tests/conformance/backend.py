# SPDX-License-Identifier: Apache-2.0
"""snncc as an ONNX backend: frontend and reference executor, in the ANN stage, without a samples' axis.

A test of ONNX gives every operand as an input; what snncc wants constant (weights, shapes, axes) is bound to the
test's value, and no more than needed: first nothing, then the integers, then all but the first.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper
from onnx.backend.base import Backend, BackendRep
from onnx_ir.passes import common

from snncc.errors import UnreadableModel
from snncc.execute import reference
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.operators.lower import LOWERINGS, Lowerer
from snncc.ir.nodes import Foreign, Input

#: Operators that normalising removes or unrolls, so that no lowering ever sees them.
NORMALIZED = frozenset(("Constant", "ConstantOfShape", "If", "Loop", "Range", "Scan", "Shape", "Size"))


def operators(model: onnx.ModelProto) -> Iterator[str]:
    """The operators of a model, those of its functions included, by domain and name."""
    functions = {(f.domain, f.name) for f in model.functions}
    for node in [*model.graph.node, *(n for f in model.functions for n in f.node)]:
        if (node.domain, node.op_type) not in functions:
            yield f"{node.domain}.{node.op_type}".removeprefix("ai.onnx.").removeprefix(".")


def bound(model: onnx.ModelProto, feeds: dict[str, np.ndarray], names: Sequence[str]) -> onnx.ModelProto:
    """The model with some inputs made constants."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    kept = [i for i in result.graph.input if i.name in feeds and i.name not in names]
    del result.graph.input[:]
    result.graph.input.extend(kept)
    for info in result.graph.input:
        kind = info.type.tensor_type
        kind.shape.CopyFrom(helper.make_tensor_type_proto(kind.elem_type, feeds[info.name].shape).tensor_type.shape)
    result.graph.initializer.extend(numpy_helper.from_array(feeds[name], name) for name in names)
    return result


class Prepared(BackendRep):
    """A model that waits for its inputs, since some of them become constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """The outputs; SkipTest where nothing is left to compute, AssertionError where lowering refuses."""
        constants = {t.name for t in self.model.graph.initializer}
        infos = [i for i in self.model.graph.input if i.name not in constants]
        feeds = {info.name: np.asarray(x) for info, x in zip(infos, inputs, strict=False)}
        integers = [n for n, x in feeds.items() if x.dtype.kind in "iub"]
        attempts = [[], integers, list(feeds)[1:]]
        if set(operators(self.model)) & NORMALIZED:
            attempts.append(list(feeds))
        reasons = []
        for names in attempts:
            if len(names) == len(feeds) and len(attempts) < 4 and names is not integers:
                continue
            try:
                lowerer = Lowerer(normalize(bound(self.model, feeds, names)), {}, batched=False)
                lowerer.run()
            except UnreadableModel as error:
                reasons.append(str(error))
                continue
            if lowerer.problems:
                reasons.append(str(lowerer.problems[0]))
                continue
            network = lowerer.network()
            if foreign := [n for n in network.nodes if isinstance(n, Foreign)]:
                reasons.append(f"{foreign[0].operator} is foreign")
                continue
            if not network.inputs:  # everything is constant; the executor wants to know how many samples there are
                network = replace(network, nodes=(Input(name="", shape=(1,), batch=None), *network.nodes))
                feeds[""] = np.zeros(1, np.float32)
            values = reference.evaluate(network, {n: self.plain(feeds[n]) for n in feeds if n == "" or n not in names})
            return tuple(self.typed(values[o.name], o) for o in self.model.graph.output)
        raise AssertionError("; ".join(dict.fromkeys(reasons)))

    @staticmethod
    def plain(x: np.ndarray) -> np.ndarray:
        """Types that NumPy itself does not have as float32."""
        return x if x.dtype.kind in "fiub" else x.astype(np.float32)

    @staticmethod
    def typed(x: np.ndarray, info: onnx.ValueInfoProto) -> np.ndarray:
        """A result in the type that the model declares."""
        return x.astype(helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type))


class SnnccBackend(Backend):
    """What `onnx.backend.test` talks to."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
        """Skips what uses an operator that snncc does not claim, or values that are no tensors."""
        unclaimed = sorted({op for op in operators(model) if op not in LOWERINGS and op not in NORMALIZED})
        if unclaimed:
            raise unittest.SkipTest(f"not claimed: {', '.join(unclaimed)}")
        for info in [*model.graph.input, *model.graph.output]:
            if not info.type.HasField("tensor_type") or info.type.tensor_type.elem_type == onnx.TensorProto.STRING:
                raise unittest.SkipTest(f"{info.name} is no tensor of numbers")
        if model.functions:
            inner = ir.from_proto(model)
            common.InlinePass()(inner)
            model = ir.to_proto(inner)
        return Prepared(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The CPU."""
        return device == "CPU"
