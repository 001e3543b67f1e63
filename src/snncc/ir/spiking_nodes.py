# SPDX-License-Identifier: Apache-2.0
"""Nodes with state: neurons and the event-driven form of functions."""

from __future__ import annotations

from typing import ClassVar, Literal

from snncc.ir.base import Node
from snncc.ir.function_nodes import Clip, Foreign, LeakyRelu, MaxPool, Operator, Relu
from snncc.ir.operators import OPERATORS


class Neuron(Node, frozen=True, kw_only=True):
    """Shared by neurons that integrate one input current.

    `threshold`, `amplitude` (the value that one spike carries downstream) and `v_init` (the initial membrane
    potential) are arrays that broadcast against the node's shape: one value, one per channel or one per neuron.
    """

    threshold: str
    amplitude: str
    v_init: str
    ARRAYS: ClassVar[tuple[str, ...]] = ("threshold", "amplitude", "v_init")


class IF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire: u += x; z = [u >= threshold]; u -= z threshold (or u = 0); y = amplitude z."""

    reset: Literal["subtract", "zero"] = "subtract"


class SignedIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with negative spikes and a memory n of what was emitted.

    u += x; z = +1 if u >= threshold and n < cap; z = -1 if n > 0 and (u < 0 [early] or u <= -threshold [signed]);
    u -= z threshold; n += z; y = amplitude z. With `levels` m > 1 (early only), z = clip(floor(u/threshold),
    -min(n, m), min(m, cap - n)).
    """

    negative: Literal["signed", "early"] = "signed"
    cap: int | None = None
    levels: int = 1


class LeakyIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Two-sided `SignedIF` whose count n may be negative; y = phi(n[t]) - phi(n[t-1]).

    phi(n) = amplitude n for n >= 0 and slope amplitude n below (LeakyRelu, PRelu, Abs).
    """

    slope: str
    negative: Literal["signed", "early"] = "signed"
    levels: int = 1
    ARRAYS = ("threshold", "amplitude", "v_init", "slope")


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
