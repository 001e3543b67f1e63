# SPDX-License-Identifier: Apache-2.0
"""Lowering of LSTM, GRU and RNN: the input projection is a `Linear`, the recurrence one operator per output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported
from snncc.frontend.operators.linear import constant, dense
from snncc.ir.network import Array
from snncc.ir.nodes import Attribute, Node

#: Activations by name in lower case, with onnxruntime's defaults of alpha and beta; None: it has no such parameter.
ACTIVATIONS: dict[str, tuple[float | None, float | None]] = {
    "affine": (0.0, 0.0),
    "elu": (1.0, None),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, None),
    "relu": (None, None),
    "scaledtanh": (0.0, 0.0),
    "sigmoid": (None, None),
    "softplus": (None, None),
    "softsign": (None, None),
    "tanh": (None, None),
    "thresholdedrelu": (0.0, None),
}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def activation_options(
    names: Sequence[str], alpha: Sequence[float] | None, beta: Sequence[float] | None
) -> dict[str, Attribute]:
    """The activations of all directions; alpha and beta are given, in order, only for those that take them."""
    alphas, betas, resolved = list(alpha or ()), list(beta or ()), []
    for name in (n.lower() for n in names):
        if name not in ACTIVATIONS:
            raise Unsupported(f"activation {name}", cure=f"use one of {', '.join(ACTIVATIONS)}")
        a, b = ACTIVATIONS[name]
        a = a if a is None or not alphas else float(alphas.pop(0))
        b = b if b is None or not betas else float(betas.pop(0))
        resolved.append((name, a or 0.0, b or 0.0))
    kinds, a_all, b_all = zip(*resolved, strict=True)
    return {"activations": kinds, "alpha": a_all, "beta": b_all}


class Layer:
    """What the three operators have in common: sizes, layout, the projected gates and the initial states."""

    def __init__(
        self,
        g: Builder,
        x: Operand,
        w: Operand,
        r: Operand,
        *,
        defaults: Sequence[str],
        hidden_size: int | None = None,
        activation_alpha: Sequence[float] | None = None,
        activation_beta: Sequence[float] | None = None,
        activations: Sequence[str] | None = None,
        clip: float | None = None,
        direction: str = "forward",
        layout: int = 0,
    ) -> None:
        self.g, self.layout = g, layout
        self.weight, self.recurrent = constant(w, "weight W"), constant(r, "weight R")
        self.reverse = DIRECTIONS[direction]
        self.size = self.recurrent.shape[-1]
        names = activations or list(defaults) * len(self.reverse)
        self.options = activation_options(names, activation_alpha, activation_beta)
        self.options |= {"clip": clip or None, "reverse": self.reverse}
        self.outputs = [i for i in range(len(g.results)) if g.select(i)]
        g.select(self.outputs[0])
        value = g.node(x)
        if layout:
            value = g.transpose(value, (1, 0, 2), name=g.fresh("by_step"))
        if value.batch not in (None, 1):
            raise MixesSamples("the samples lie on the axis of its steps or features")
        self.x = value

    def gates(self, bias: Array) -> Node:
        """X W^T + b for all directions and gates at once."""
        final, self.g.out = self.g.out, self.g.fresh("gates")
        directions, rows, features = self.weight.shape
        gates = dense(self.g, self.x, self.weight.reshape(-1, features), bias.reshape(directions * rows), 2)
        self.g.out = final
        return gates

    def state(self, given: Operand, name: str) -> Node:
        """An initial state (directions, N, hidden); zero where absent."""
        if given is None:
            return self.g.node(np.zeros((len(self.reverse), 1, self.size), np.float32), name)
        node = self.g.node(given, name)
        if self.layout:
            node = self.g.transpose(node, (1, 0, 2), name=self.g.fresh(f"{name}_by_direction"))
        return self.per_sample(node, 1)

    def per_sample(self, node: Node, axis: int) -> Node:
        """A value with its samples on `axis`; without any it broadcasts, or is repeated."""
        if node.batch not in (None, axis):
            raise MixesSamples("an initial state or length carries the samples on another axis")
        return self.g.repeated(node, axis) if self.x.batch is not None and node.shape[axis] > 1 else node

    def lengths(self, given: Operand) -> Node:
        """How many steps each sequence has: (N,)."""
        if given is None:
            return self.g.node(np.array([self.x.shape[0]], np.int64), "lengths")
        return self.per_sample(self.g.node(given, "lengths"), 0)

    def results(self, op: str, *inputs: Node, **options: Attribute) -> list[Node | None]:
        """One operator per output that is read."""
        g = self.g
        made: list[Node | None] = [None] * len(g.results)
        batch = 1 if any(x.batch is not None for x in inputs) else None
        if batch is not None and self.x.batch is None:
            raise MixesSamples("its initial states carry samples and its sequence does not")
        for i in self.outputs:
            g.select(i)
            output, axis = ("y", "y_h", "y_c")[i], None if batch is None else (2, 1, 1)[i]
            order = (2, 0, 1, 3) if i == 0 else (1, 0, 2)  # where layout=1 has the axes of layout=0
            final, name = g.out, g.fresh("by_direction") if self.layout else g.out
            inner = [g.shape[order.index(k)] for k in range(len(order))] if self.layout else g.shape
            every = {**self.options, **options, "output": output}
            node: Node = g.operator(op, *inputs, batch=axis, shape=inner, name=name, **every)  # type: ignore[arg-type]
            made[i] = g.transpose(node, order, name=final) if self.layout else node
        return made


def sides(b: Operand, directions: int, width: int) -> tuple[Array, Array]:
    """The biases of the input and of the recurrence, (directions, width) each."""
    if b is None:
        return np.zeros((directions, width), np.float32), np.zeros((directions, width), np.float32)
    both = constant(b, "bias")
    return both[:, :width], both[:, width:]


def lstm(
    g: Builder,
    x: Operand,
    w: Operand,
    r: Operand,
    b: Operand = None,
    sequence_lens: Operand = None,
    initial_h: Operand = None,
    initial_c: Operand = None,
    p: Operand = None,
    *,
    input_forget: int = 0,
    **attributes: Any,
) -> list[Node | None]:
    """LSTM with constant weights."""
    layer = Layer(g, x, w, r, defaults=("Sigmoid", "Tanh", "Tanh"), **attributes)
    directions, size = len(layer.reverse), layer.size
    gates = layer.gates(sum(sides(b, directions, 4 * size)))  # type: ignore[arg-type]
    peephole = np.zeros((directions, 3 * size), np.float32) if p is None else constant(p, "peephole P")
    inputs = [
        gates,
        g.node(layer.recurrent, "recurrence"),
        g.node(peephole, "peephole"),
        layer.state(initial_h, "h"),
        layer.state(initial_c, "c"),
        layer.lengths(sequence_lens),
    ]
    return layer.results("lstm", *inputs, input_forget=bool(input_forget))


def gru(
    g: Builder,
    x: Operand,
    w: Operand,
    r: Operand,
    b: Operand = None,
    sequence_lens: Operand = None,
    initial_h: Operand = None,
    *,
    linear_before_reset: int = 0,
    **attributes: Any,
) -> list[Node | None]:
    """GRU with constant weights; the recurrent bias of the candidate stays inside the recurrence."""
    layer = Layer(g, x, w, r, defaults=("Sigmoid", "Tanh"), **attributes)
    directions, size = len(layer.reverse), layer.size
    outside, inside = sides(b, directions, 3 * size)
    outside = outside + np.concatenate([inside[:, : 2 * size], np.zeros_like(inside[:, 2 * size :])], 1)
    inputs = [
        layer.gates(outside),
        g.node(layer.recurrent, "recurrence"),
        g.node(inside[:, 2 * size :], "bias"),
        layer.state(initial_h, "h"),
        layer.lengths(sequence_lens),
    ]
    return layer.results("gru", *inputs, reset_after=bool(linear_before_reset))


def rnn(
    g: Builder,
    x: Operand,
    w: Operand,
    r: Operand,
    b: Operand = None,
    sequence_lens: Operand = None,
    initial_h: Operand = None,
    **attributes: Any,
) -> list[Node | None]:
    """RNN with constant weights."""
    layer = Layer(g, x, w, r, defaults=("Tanh",), **attributes)
    gates = layer.gates(sum(sides(b, len(layer.reverse), layer.size)))  # type: ignore[arg-type]
    inputs = [gates, g.node(layer.recurrent, "recurrence"), layer.state(initial_h, "h"), layer.lengths(sequence_lens)]
    return layer.results("rnn", *inputs)


LOWERINGS: dict[str, Lowering] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
