# SPDX-License-Identifier: Apache-2.0
"""The event-driven form of functions."""

from __future__ import annotations

from snncc.ir.function_nodes import Clip, Foreign, LeakyRelu, MaxPool, Operator, Relu
from snncc.ir.operators import OPERATORS
from snncc.neurons.node import Node


class Differential(Node, frozen=True, kw_only=True, tag=True):
    """The event-driven form of a function f: y[t] = G[t] - G[t-1], G[t] = D(t) f(clamp(X[t] / D(t), low, high)).

    X is the running sum of each varying input, D the divisor of the network's input schedule; G[0] = 0. `low` and
    `high` bound each input of `function` (None: no clamp). Where `nonzero` gives a positive magnitude m for an
    input, a denominator smaller than m in magnitude keeps its sign and takes m.
    """

    function: Operator | Foreign | MaxPool | Relu | Clip | LeakyRelu
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    nonzero: tuple[float, ...]

    def array_names(self) -> tuple[str, ...]:
        """The arrays of the function."""
        return self.function.array_names()

    @property
    def direct(self) -> bool:
        """Whether D f(X / D) = f(X): the function is homogeneous and nothing is clamped, so nothing is divided."""
        free = not any(self.nonzero) and all(b is None for b in (*self.low, *self.high))
        f = self.function
        return free and (OPERATORS[f.op].homogeneous if isinstance(f, Operator) else not isinstance(f, (Clip, Foreign)))
