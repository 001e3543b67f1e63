# SPDX-License-Identifier: Apache-2.0
"""Control flow whose course is known: Loop and Scan are unrolled, both branches of an If are computed and one selected.

The values of a body keep their names behind the name of the loop's output and the number of the iteration. What runs
an unknown number of times stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir import convenience, traversal

#: A loop that would become more nodes than this stays a loop.
UNROLL_LIMIT = 20_000


def initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """A new constant of a graph."""
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name), shape=ir.Shape(array.shape))
    value.dtype = ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value


class Inliner:
    """Puts copies of a body's nodes in front of a control node of the main graph."""

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        self.graph, self.node = model.graph, node
        self.opset = model.opset_imports.get("", 0) or model.opset_imports.get("ai.onnx", 0)
        self.prefix = next((str(v.name) for v in node.outputs if v.name), str(node.name))
        self.count = 0

    def constant(self, array: np.ndarray) -> ir.Value:
        """A new initializer."""
        self.count += 1
        return initializer(self.graph, f"{self.prefix}.constant{self.count}", array)

    def add(self, op: str, inputs: Sequence[ir.Value], name: str, **attributes: int) -> ir.Value:
        """A new node with one output."""
        made = ir.node(op, inputs, attributes, outputs=[ir.Value(name=name)], name=name)
        self.graph.insert_before(self.node, made)
        return made.outputs[0]

    def unsqueezed(self, x: ir.Value, axis: int, name: str) -> ir.Value:
        """x with an axis of extent 1."""
        if self.opset < 13:
            made = ir.node("Unsqueeze", [x], {"axes": [axis]}, outputs=[ir.Value(name=name)], name=name)
        else:
            axes = self.constant(np.array([axis], np.int64))
            made = ir.node("Unsqueeze", [x, axes], outputs=[ir.Value(name=name)], name=name)
        self.graph.insert_before(self.node, made)
        return made.outputs[0]

    def body(self, body: ir.Graph, inputs: Sequence[ir.Value], tag: str) -> list[ir.Value]:
        """One copy of a body on given values; its outputs."""
        copy = body.clone(allow_outer_scope_values=True)
        prefix = f"{self.prefix}.{tag}"
        for inside in traversal.RecursiveGraphIterator(copy):
            inside.name = f"{prefix}.{inside.name}"
            for value in inside.outputs:
                if value.name:
                    value.name = f"{prefix}.{value.name}"
            for attribute in inside.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH:
                    for value in attribute.as_graph().inputs:
                        value.name = f"{prefix}.{value.name}"
        replaced: Mapping[ir.Value, ir.Value] = dict(zip(copy.inputs, inputs, strict=True))
        outputs = [replaced.get(value, value) for value in copy.outputs]
        copy.outputs.clear()
        for formal, actual in replaced.items():
            convenience.replace_all_uses_with(formal, actual)
        for value in list(copy.initializers.values()):
            copy.initializers.pop(str(value.name))
            value.name = f"{prefix}.{value.name}"
            self.graph.register_initializer(value)
        nodes = list(copy)
        copy.remove(nodes)
        self.graph.insert_before(self.node, nodes)
        return outputs

    def finish(self, results: Sequence[ir.Value]) -> None:
        """Let `results` take the place and the names of the control node's outputs."""
        for old, new in zip(self.node.outputs, results, strict=True):
            name = old.name
            if not name:
                continue
            old.name = f"{name}.before"
            final = self.add("Identity", [new], name)
            final.type, final.shape = old.type, old.shape
            convenience.replace_all_uses_with(old, final, replace_graph_outputs=True)
        self.graph.remove(self.node, safe=True)


def known(value: ir.Value | None) -> np.ndarray | None:
    """A constant's array, seen through Identity."""
    while value is not None and value.const_value is None:
        producer = value.producer()
        if producer is None or producer.op_type not in ("Identity", "Constant"):
            return None
        if producer.op_type == "Constant":
            found = producer.attributes.get("value")
            return None if found is None else np.asarray(found.as_tensor().numpy())
        value = producer.inputs[0]
    return None if value is None or value.const_value is None else np.asarray(value.const_value.numpy())


def goes_on(body: ir.Graph) -> bool:
    """Whether a Loop's body never ends the loop itself."""
    value: ir.Value | None = body.outputs[0]
    while value is not None and value is not body.inputs[1]:
        if (array := known(value)) is not None:
            return bool(array.reshape(-1)[0])
        producer = value.producer()
        value = producer.inputs[0] if producer is not None and producer.op_type == "Identity" else None
    return value is not None


def size(body: ir.Graph) -> int:
    """The number of nodes of a body, inner bodies included."""
    return sum(1 for _ in traversal.RecursiveGraphIterator(body))


def joined(inliner: Inliner, pieces: Sequence[ir.Value], axis: int, name: str) -> ir.Value:
    """What the iterations gave, side by side on a new axis."""
    parts = [inliner.unsqueezed(x, axis, f"{name}.{i}") for i, x in enumerate(pieces)]
    return inliner.add("Concat", parts, f"{name}.joined", axis=axis)


def trip_count(node: ir.Node, body: ir.Graph) -> int | None:
    """How often a Loop runs, where that is constant and nothing else ends it."""
    trips, given = known(node.inputs[0]), node.inputs[1] if len(node.inputs) > 1 else None
    condition = known(given)
    if trips is None or not goes_on(body) or (given is not None and condition is None):
        return None
    return int(trips.reshape(-1)[0]) if condition is None or condition.reshape(-1)[0] else 0


def unroll_loop(model: ir.Model, node: ir.Node) -> bool:
    """A Loop with a constant trip count and no other end."""
    body = node.attributes["body"].as_graph()
    carried, count = len(body.inputs) - 2, trip_count(node, body)
    if count is None or count * size(body) > UNROLL_LIMIT or (count < 1 and len(node.outputs) > carried):
        return False
    inliner = Inliner(model, node)
    true = inliner.constant(np.array(True))
    state: list[ir.Value] = [v for v in node.inputs[2:] if v is not None]
    scanned: list[list[ir.Value]] = []
    for i in range(count):
        at = inliner.constant(np.array(i, np.int64))
        outputs = inliner.body(body, [at, true, *state], str(i))
        state, scanned = outputs[1 : 1 + carried], [*scanned, outputs[1 + carried :]]
    columns = zip(*scanned, strict=True)
    joins = [joined(inliner, c, 0, str(node.outputs[carried + k].name or k)) for k, c in enumerate(columns)]
    inliner.finish([*state, *joins])
    return True


def unroll_scan(model: ir.Model, node: ir.Node) -> bool:
    """A Scan over an axis of known extent (opset 9 and later)."""

    def given(name: str, count: int) -> list[int]:
        found = node.attributes.get(name)
        return [int(i) for i in found.as_ints()] if found is not None else [0] * count

    body = node.attributes["body"].as_graph()
    inputs = [v for v in node.inputs if v is not None]
    sequences = node.attributes["num_scan_inputs"].as_int()
    carried = len(inputs) - sequences
    inliner = Inliner(model, node)
    first = inputs[carried]
    axes, backwards = given("scan_input_axes", sequences), given("scan_input_directions", sequences)
    extent = first.shape[axes[0]] if first.shape is not None else None
    if inliner.opset < 9 or not isinstance(extent, int) or extent * size(body) > UNROLL_LIMIT or extent < 1:
        return False
    state, scanned = inputs[:carried], list[list[ir.Value]]()
    for i in range(extent):
        pieces = []
        for k, (x, axis, back) in enumerate(zip(inputs[carried:], axes, backwards, strict=True)):
            at = inliner.constant(np.array(extent - 1 - i if back else i, np.int64))
            pieces.append(inliner.add("Gather", [x, at], f"{inliner.prefix}.{i}.sequence{k}", axis=axis))
        outputs = inliner.body(body, [*state, *pieces], str(i))
        state, scanned = outputs[:carried], [*scanned, outputs[carried:]]
    count = len(node.outputs) - carried
    out_axes, reverse = given("scan_output_axes", count), given("scan_output_directions", count)
    joins = []
    for k, column in enumerate(zip(*scanned, strict=True)):
        order = list(column)[::-1] if reverse[k] else list(column)
        joins.append(joined(inliner, order, out_axes[k], str(node.outputs[carried + k].name or k)))
    inliner.finish([*state, *joins])
    return True


def merge_branches(model: ir.Model, node: ir.Node) -> bool:
    """An If whose condition is computed: both branches, and Where to choose; only where their shapes agree."""
    if known(node.inputs[0]) is not None or node.inputs[0] is None:
        return False
    for value in node.outputs:
        if value.name and (value.shape is None or not value.shape.is_static()):
            return False
    inliner = Inliner(model, node)
    yes = inliner.body(node.attributes["then_branch"].as_graph(), [], "then")
    no = inliner.body(node.attributes["else_branch"].as_graph(), [], "else")
    condition, results = node.inputs[0], []
    for value, a, b in zip(node.outputs, yes, no, strict=True):
        results.append(inliner.add("Where", [condition, a, b], f"{value.name or inliner.prefix}.chosen"))
    inliner.finish(results)
    return True


PASSES = {"If": merge_branches, "Loop": unroll_loop, "Scan": unroll_scan}


def expand_control(model: ir.Model) -> bool:
    """Replace the control nodes of the main graph whose course is known; whether any was."""
    changed = False
    for node in list(model.graph):
        expand = PASSES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if expand is not None:
            changed = expand(model, node) or changed
    return changed
