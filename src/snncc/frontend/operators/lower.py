# SPDX-License-Identifier: Apache-2.0
"""The border: from an `onnx_ir.Model` in normal form to a `Network`. Nothing behind this file knows ONNX.

`LOWERINGS` names one function per ONNX operator, family by family. A node that cannot be lowered is a `Problem`;
all are collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir

from snncc.errors import Problem, UnsupportedModel, UsageError
from snncc.frontend.normal.growth import growth
from snncc.frontend.normal.unflatten import unflattened
from snncc.frontend.operators import (
    attention,
    elementwise,
    functions,
    indexing,
    linear,
    normalization,
    pools,
    quantized,
    recurrent,
    reduction,
    resize,
    shape,
    space,
)
from snncc.frontend.operators.analog_tail import is_read, spikes, split
from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, OpenShape, Operand, Unsupported
from snncc.frontend.operators.foreign import NotRunnable, exists, lower_foreign
from snncc.ir.masks import finite_masks
from snncc.ir.network import Network
from snncc.ir.nodes import Input, Node

LOWERINGS: Mapping[str, Lowering] = {
    **elementwise.LOWERINGS,
    **linear.LOWERINGS,
    **pools.LOWERINGS,
    **shape.LOWERINGS,
    **recurrent.LOWERINGS,
    **quantized.LOWERINGS,
    **attention.LOWERINGS,
    **functions.LOWERINGS,
    **normalization.LOWERINGS,
    **reduction.LOWERINGS,
    **indexing.LOWERINGS,
    **space.LOWERINGS,
    **resize.LOWERINGS,
}
ONNX_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """What lowering found: the network, or the problems; and how many nodes were lowered."""

    network: Network | None
    problems: tuple[Problem, ...]
    nodes: int
    failed: frozenset[str]
    #: The lowered part, inputs standing for what failed; the whole network where nothing did.
    partial: Network
    #: Weights that the failed nodes hold: a lower bound of their multiply-accumulates.
    failed_operations: int
    #: Why samples run one at a time, or None.
    one_at_a_time: str | None = None


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """A value's shape, all of it known."""
    if isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
        raise Unsupported("it gives a sequence or an optional value", cure="cut the graph in front of it")
    if value.shape is None or not value.shape.is_static():
        raise OpenShape(
            "its shape depends on data or is not known",
            cure="export with constant shapes, or cut the graph in front of it",
        )
    return value.shape.numpy()


def element_type(value: ir.Value) -> str:
    """The value's type; every float type is float32 here."""
    name = "FLOAT" if value.dtype is None else value.dtype.name
    floating = name.startswith(("FLOAT", "DOUBLE", "BFLOAT"))
    return "float32" if floating else name.lower().replace("boolean", "bool")


def well_typed(node: ir.Node, opset: int) -> Mapping[str, ir.Attr]:
    """The attributes of a node; raises Unsupported for one whose type is not that of the operator's definition."""
    if node.domain not in ONNX_DOMAINS:
        return node.attributes
    try:
        known: Mapping[str, Any] = onnx.defs.get_schema(node.op_type, opset, "").attributes
    except onnx.defs.SchemaError:
        return node.attributes
    for name, given in node.attributes.items():
        if name in known and int(given.type) != int(known[name].type):
            raise Unsupported(f"its attribute {name} is of the wrong type", cure="check the file with onnx.checker")
    return node.attributes


def attribute(value: ir.Attr) -> Any:
    """An attribute as plain data."""
    if value.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return value.value
    if value.type == ir.AttributeType.TENSOR:
        return value.as_tensor().numpy()
    plain = value.value
    return tuple(plain) if isinstance(plain, (list, tuple)) else plain


#: Lowerings of a user's own, by operator or by (domain, operator).
Own: TypeAlias = Mapping[str | tuple[str, str], Lowering]


def refuse_known(own: Own) -> None:
    """Raise UsageError for a lowering of an operator that has one."""
    for key in own:
        domain, operator = ("", key) if isinstance(key, str) else key
        if domain in ONNX_DOMAINS and operator in LOWERINGS:
            raise UsageError(f"{operator} has a lowering already", cure="lowerings are for operators that have none")


def lowering_of(node: ir.Node, own: Own) -> Lowering:
    """The function that lowers a node; raises Unsupported where there is none."""
    function = LOWERINGS.get(node.op_type) if node.domain in ONNX_DOMAINS else None
    function = function or own.get((node.domain, node.op_type)) or own.get(node.op_type)
    if function is None:
        where = f"operator of domain {node.domain}" if node.domain not in ONNX_DOMAINS else "operator"
        raise Unsupported(
            f"no lowering for this {where}, and onnxruntime does not run it",
            cure="replace it by operators of ONNX (docs/operators.md), or cut the graph in front of it",
        )
    return function


class Lowerer:
    """One pass over the nodes of a graph."""

    def __init__(self, model: ir.Model, own: Own, *, batched: bool) -> None:
        self.graph, self.own = model.graph, own
        self.opsets = dict(model.opset_imports)
        opset = model.opset_imports.get("", 0) or model.opset_imports.get("ai.onnx", 0)
        self.builder = Builder(opset, growth(model))
        self.values: dict[str, Node] = {}
        self.problems: list[Problem] = []
        self.failed: set[str] = set()
        self.failed_operations = 0
        self.batched = batched
        for value in self.graph.inputs:
            name = str(value.name)
            axis = 0 if batched and value.shape else None
            node = Input(name=name, shape=static_shape(value), batch=axis, dtype=element_type(value))
            self.values[name] = self.builder.add(node)

    def operand(self, value: ir.Value | None) -> Operand:
        """An input of an ONNX node."""
        if value is None or not value.name:
            return None
        if value.name in self.values:
            return self.values[value.name]
        if value.const_value is not None:
            return np.asarray(value.const_value.numpy())
        reason = f"its input {value.name} is not computed by any node"
        raise Unsupported(reason, cure="check the file with onnx.checker")

    def by_table(self, node: ir.Node) -> Node | list[Node | None]:
        """One ONNX node by its lowering."""
        function = lowering_of(node, self.own)
        attributes = {name: attribute(a) for name, a in well_typed(node, self.builder.opset).items()}
        operands = [self.operand(v) for v in node.inputs]
        try:
            made: Node | list[Node | None] = function(self.builder, *operands, **attributes)
            return made
        except TypeError as error:
            if not any(text in str(error) for text in ("unexpected keyword", "positional argument", "multiple values")):
                raise
            raise Unsupported(
                f"{str(error).split('() ')[-1]}", cure="export with an opset that this version of snncc knows"
            ) from None

    def lower(self, node: ir.Node) -> None:
        """One ONNX node."""
        g = self.builder
        try:
            g.results = [
                (str(o.name), static_shape(o), element_type(o)) if is_read(o) else ("", (), "float32")
                for o in node.outputs
            ]
        except Unsupported:
            if not exists(node):
                lowering_of(node, self.own)  # an operator that nobody knows has no shape either: say the former
            raise
        g.select(0) or g.select(1)
        mark = len(g.nodes)
        try:
            made = self.by_table(node)
        except Unsupported as problem:
            if self.batched and isinstance(problem, MixesSamples):
                raise
            del g.nodes[mark:]
            try:
                made = lower_foreign(g, node, self.operand, self.opsets)
            except NotRunnable:
                raise problem from None
        for (name, _, _), result in zip(g.results, made if isinstance(made, list) else [made], strict=False):
            if name and result is not None:
                self.values[name] = result

    def run(self) -> None:
        """All nodes; what cannot be lowered is recorded and stands as a placeholder for those behind it."""
        for node in self.graph:
            mark = len(self.builder.nodes)
            try:
                self.lower(node)
            except Unsupported as problem:
                if self.batched and isinstance(problem, MixesSamples):
                    raise
                del self.builder.nodes[mark:]
                self.record(node, problem)

    def record(self, node: ir.Node, problem: Unsupported) -> None:
        """Note a problem and let a placeholder stand for the node's outputs."""
        name = str(node.name or node.outputs[0].name)
        self.failed.add(name)
        read = [v for v in node.inputs if v is not None]
        self.failed_operations += sum(v.const_value.size for v in read if v.const_value is not None)
        sources = [v.producer() for v in read]
        behind = any(s is not None and str(s.name or s.outputs[0].name) in self.failed for s in sources)
        if not (behind and isinstance(problem, OpenShape)):  # else it only follows from another problem
            self.problems.append(Problem(node=name, operator=node.op_type, reason=problem.reason, cure=problem.cure))
        for value in node.outputs:
            self.values[str(value.name)] = self.placeholder(value)

    def placeholder(self, value: ir.Value) -> Node:
        """An input that stands for a value that could not be lowered."""
        try:
            dims = static_shape(value)
        except Unsupported:
            dims = (1,)
        batch = 0 if dims and any(v.batch is not None for v in self.values.values()) else None
        return self.builder.add(Input(name=str(value.name), shape=dims, batch=batch, dtype=element_type(value)))

    def network(self) -> Network:
        """The finished network; every graph output is a node of that name."""
        g = self.builder
        outputs = []
        for value in self.graph.outputs:
            name = str(value.name)
            g.out = name
            try:
                if name in outputs:
                    raise Unsupported("it is listed twice", cure="list it once")
                node = g.node(self.operand(value))
            except Unsupported as problem:
                self.problems.append(Problem(node=name, operator="output", reason=problem.reason, cure=problem.cure))
                continue
            if node.name != name:
                node = g.reshape(node, node.shape, name=name, batch=node.batch)
            outputs.append(node.name)
        return finite_masks(Network(nodes=tuple(g.nodes), outputs=tuple(outputs), arrays=dict(g.arrays)).pruned())


def lower(model: ir.Model, own: Own = MappingProxyType({})) -> Lowered:
    """Lower a graph up to its analog tail, if it has one behind something that can spike."""
    if (cut := split(model)) is not None:
        front, tail, blob = cut
        result = lower_whole(front, own)
        if any(spikes(result.partial, node) for node in result.partial.nodes):
            partial = replace(result.partial, analog_tail=tail).with_arrays({tail.model: blob})
            network = None if result.network is None else partial
            return replace(result, network=network, partial=partial, nodes=result.nodes + tail.operators)
    return lower_whole(model, own)


def lower_whole(model: ir.Model, own: Own) -> Lowered:
    """Lower a graph, with its samples on an axis if every operator keeps one, else one sample at a time."""
    reason = None
    lowerer = Lowerer(model, own, batched=True)
    try:
        lowerer.run()
    except MixesSamples as mixes:
        reason = mixes.reason
        if (other := unflattened(model)) is not None:
            return lower_whole(other, own)
        lowerer = Lowerer(model, own, batched=False)
        lowerer.run()
    count = sum(1 for _ in model.graph)
    partial = lowerer.network()
    return Lowered(
        network=None if lowerer.problems else partial,
        partial=partial,
        failed_operations=lowerer.failed_operations,
        problems=tuple(lowerer.problems),
        nodes=count,
        failed=frozenset(lowerer.failed),
        one_at_a_time=reason,
    )


def lowered_network(model: ir.Model, own: Own = MappingProxyType({})) -> Network:
    """The network of a graph, with lowerings of a user's own; raises UnsupportedModel with every problem."""
    result = lower(model, own)
    if result.network is None:
        raise UnsupportedModel(result.problems)
    return result.network
