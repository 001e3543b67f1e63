# SPDX-License-Identifier: Apache-2.0
"""What the ONNX cells of neurons begin with: one step as ONNX nodes, its state handed in and out.

Every state is zero before the first step: initial potentials are added where the step is the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.neurons.node import Neuron

Array: TypeAlias = npt.NDArray[Any]


class Graph(Protocol):
    """What a cell needs of the graph that it writes into (`functions.onnx.graph.Graph`)."""

    @property
    def float_type(self) -> np.dtype[Any]:
        """The type of its real numbers."""

    def op(self, operator: str, *inputs: Any, kind: Any = None, **attributes: Any) -> str:
        """A node with one output, whose name is returned."""

    def where(self, condition: Any, a: Any, b: Any, kind: Any = None) -> str:
        """a where the condition holds, else b."""

    def floating(self, value: str) -> str:
        """A value in the graph's float type."""

    def product(self, value: str, factor: Any) -> str:
        """The value times the factor, or itself where that is 1."""

    def shape(self, extents: Iterable[int]) -> str:
        """Whole numbers as a constant vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a step stands: values of the graph. `gate` is None where it is always 1."""

    step: str
    first: str
    before: str
    divisor: str
    gate: str | None
    samples: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A neuron in the graph: its arrays, and how it gets and hands on a state (`load(part)`, `store(part, value)`)."""

    g: Graph
    arrays: Mapping[str, Array]
    clock: Clock
    load: Callable[[str], str]
    store: Callable[[str, str], str]

    def array(self, name: str) -> Array:
        """An array in the graph's float type."""
        return self.arrays[name].astype(self.g.float_type)

    def started(self, part: str, value: Array) -> str:
        """A state that is `value` before the first step."""
        state = self.load(part)
        return self.g.where(self.clock.first, value, state) if np.any(value) else state

    def charged(self, node: Neuron, current: str) -> str:
        """u + x."""
        return self.g.op("Add", self.started("potential", self.array(node.v_init)), current)

    def only_alive(self, truth: str, threshold: Array) -> str:
        """False where the threshold is 0."""
        return truth if np.all(threshold > 0) else self.g.op("And", truth, threshold > 0)

    def at_least(self, u: str, threshold: Array) -> str:
        """u >= threshold > 0."""
        return self.only_alive(self.g.op("GreaterOrEqual", u, threshold, kind=bool), threshold)

    def steps(self, u: str, threshold: Array) -> str:
        """floor(u / threshold), 0 where the threshold is 0."""
        count = self.g.op("Floor", self.g.op("Div", u, divisor(threshold)))
        return count if np.all(threshold > 0) else self.g.where(threshold > 0, count, 0.0)

    def discharged(self, u: str, z: str, threshold: Array) -> None:
        """u - z threshold is the next potential."""
        self.store("potential", self.g.op("Sub", u, self.g.product(z, threshold)))

    def spikes(self, node: Neuron, z: str) -> tuple[str, str]:
        """The value of a neuron and its events, which are the same: z times the amplitude."""
        y = self.g.product(z, self.array(node.amplitude))
        return y, y


def divisor(threshold: Array) -> Array:
    """The threshold, 1 where it is 0."""
    return np.where(threshold > 0, threshold, np.ones_like(threshold))


def clipped(g: Graph, x: str, low: str | float, high: str | float) -> str:
    """min(max(x, low), high)."""
    return g.op("Min", g.op("Max", x, low), high)


def below(cell: Cell, negative: str, u: str, threshold: Array) -> str:
    """u < 0 [early], u <= 0 [at_zero] or u <= -threshold [signed]."""
    if negative != "signed":
        return cell.g.op("Less" if negative == "early" else "LessOrEqual", u, 0.0, kind=bool)
    return cell.g.op("LessOrEqual", u, -threshold, kind=bool)
