# SPDX-License-Identifier: Apache-2.0
"""`inspect`: everything that stands in the way of a conversion, at once, and how much of the graph converts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import onnx

from snncc.errors import Problem, UnsupportedModel
from snncc.frontend.files.load import load
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import Dims, samples_first
from snncc.frontend.operators.lower import lower
from snncc.ir.analog_tail import AnalogTail
from snncc.ir.classes import node_class, nodes_by_class, operations, shares

SCHEMA = "snncc/check/1"


class ProblemEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A `Problem` as JSON has it."""

    node: str
    operator: str
    reason: str
    cure: str


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What `snncc check` says. Shares are fractions 0 ... 1; `operations` are multiply-accumulates of the ANN by what
    feeds them; `classes` counts the nodes of the lowered graph; `analog_tail`: what stands behind the network."""

    schema: str = SCHEMA
    model: str
    convertible: bool
    problems: tuple[ProblemEntry, ...]
    nodes: int
    nodes_converting: float
    operations_converting: float
    multiply_accumulates: int
    operations: dict[str, float]
    classes: dict[str, int]
    inputs: dict[str, list[int | str]]
    outputs: list[str]
    analog: tuple[str, ...]
    foreign: tuple[str, ...]
    analog_tail: AnalogTail | None = None
    one_at_a_time: str | None


def entries(problems: tuple[Problem, ...]) -> tuple[ProblemEntry, ...]:
    """Problems as data."""
    return tuple(ProblemEntry(node=p.node, operator=p.operator, reason=p.reason, cure=p.cure) for p in problems)


def inspect(source: Path | onnx.ModelProto, shapes: Mapping[str, Dims] | None = None, *, name: str) -> Inspection:
    """Inspect a model. Raises UnreadableModel when it is no ONNX file that can be read safely."""
    model = load(source)
    empty: dict[str, Any] = {"operations": {}, "classes": {}, "inputs": {}, "outputs": [], "analog": (), "foreign": ()}
    try:
        result = lower(normalize(samples_first(model, shapes)))
    except UnsupportedModel as error:
        return Inspection(
            model=name,
            convertible=False,
            problems=entries(error.problems),
            nodes=len(model.graph.node),
            nodes_converting=0.0,
            operations_converting=0.0,
            multiply_accumulates=0,
            one_at_a_time=None,
            **empty,
        )
    net, given = result.partial, {value.name for value in model.graph.input}
    counts = operations(net)
    good = sum(counts.values())
    return Inspection(
        model=name,
        convertible=result.network is not None,
        problems=entries(result.problems),
        nodes=result.nodes,
        nodes_converting=1 - len(result.failed) / max(1, result.nodes),
        operations_converting=good / max(1, good + result.failed_operations) if result.problems else 1.0,
        multiply_accumulates=good + result.failed_operations,
        operations=shares(counts),
        classes=nodes_by_class(net),
        inputs={
            n.name: ["N" if i == n.batch else d for i, d in enumerate(n.shape)] for n in net.inputs if n.name in given
        },
        outputs=list(net.outputs),
        analog=tuple(n.name for n in net.nodes if node_class(net, n) == "differential"),
        foreign=tuple(n.name for n in net.nodes if node_class(net, n) == "foreign"),
        analog_tail=net.analog_tail,
        one_at_a_time=result.one_at_a_time,
    )
