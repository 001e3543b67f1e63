# SPDX-License-Identifier: Apache-2.0
"""The table of operators says what lowering does: ONNX's own node tests are lowered and their classes compared."""

from __future__ import annotations

import warnings
from collections import defaultdict

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

from snncc.errors import SnnccError
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.operators.coverage import CONDITIONS, LINEAR, REFUSED, STATIC, Spiking, coverage
from snncc.frontend.operators.lower import LOWERINGS, Lowerer
from snncc.ir.classes import node_class

SAMPLES = 3  # of the tests of an operator
KINDS = ("foreign", "differential", "spiking", "linear")


def test_every_operator_stands_once_and_every_name_exists() -> None:
    rows = coverage()
    names = [row.operator for row in rows]
    assert len(set(names)) == len(names)
    known = {name for name in LOWERINGS if onnx.defs.has(name)}
    assert known <= set(names)
    assert (Spiking | LINEAR | STATIC | CONDITIONS.keys() | REFUSED.keys()) <= set(names)
    assert not Spiking & LINEAR
    assert not any(row.kind in ("foreign", "refused") for row in rows if row.operator in LOWERINGS)


def lowered_kinds(model: onnx.ModelProto, feeds: dict[str, np.ndarray], constant: list[str]) -> set[str]:
    """The classes of the nodes that one operator becomes, the named operands being constants."""
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    kept = [info for info in bound.graph.input if info.name not in constant]
    del bound.graph.input[:]
    for info in kept:
        kind = info.type.tensor_type.elem_type
        bound.graph.input.append(helper.make_tensor_value_info(info.name, kind, feeds[info.name].shape))
    bound.graph.initializer.extend(numpy_helper.from_array(feeds[name], name) for name in constant)
    lowerer = Lowerer(normalize(bound), {}, batched=False)
    lowerer.run()
    if lowerer.problems:
        return set()
    net = lowerer.network()
    return {node_class(net, node) for node in net.nodes if node.name in net.varying and node.inputs}


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    """By operator, the least spiking class that each way of calling it gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    result: dict[str, set[str]] = defaultdict(set)
    seen: dict[str, int] = defaultdict(int)
    for case in cases:
        model = case.model
        if model is None or model.functions or len(model.graph.node) != 1:
            continue
        operator, inputs = model.graph.node[0].op_type, case.data_sets[0][0]
        usable = operator in LOWERINGS and all(isinstance(x, np.ndarray) and x.dtype.kind in "fiub" for x in inputs)
        if not usable or seen[operator] >= SAMPLES:
            continue
        seen[operator] += 1
        feeds = {info.name: x for info, x in zip(model.graph.input, inputs, strict=False)}
        integers = [name for name, x in feeds.items() if x.dtype.kind != "f"]
        for constant in (integers, list(feeds)[1:]):
            try:
                kinds = lowered_kinds(model, feeds, constant) if len(constant) < len(feeds) else set()
            except SnnccError:
                continue
            result[operator].update([next(k for k in KINDS if k in kinds)] if kinds else [])
    return result


def test_the_classes_are_those_of_the_table(found: dict[str, set[str]]) -> None:
    """An operator becomes its class; another one only where the table names the condition."""
    assert len(found) > 120
    wrong = {}
    for row in coverage():
        kinds = found.get(row.operator, set())
        others = {k for k in kinds - {row.kind} if k not in row.remark}
        if kinds and row.kind != "static" and (row.kind not in kinds or others - {"linear"}):
            wrong[row.operator] = (row.kind, row.remark, kinds)
    assert wrong == {}, "\n".join(f"{k}: {v}" for k, v in wrong.items())
