# SPDX-License-Identifier: Apache-2.0
"""`Network`: an immutable graph of nodes, the arrays they refer to and the input schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snncc.ir.analog_tail import AnalogTail
from snncc.ir.nodes import Constant, Differential, Input, Node
from snncc.ir.schedule import Schedule

Array: TypeAlias = npt.NDArray[Any]
Stage = Literal["ann", "snn", "integer"]


def frozen(array: Array) -> Array:
    """A read-only, contiguous copy."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Nodes in topological order; `outputs` are names of nodes; `arrays` by name, read-only.

    `analog_tail`: what onnxruntime computes from the outputs at read-out, where the ONNX graph goes on behind them.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    arrays: Mapping[str, Array]
    schedule: Schedule = field(default_factory=Schedule)
    stage: Stage = "ann"
    analog_tail: AnalogTail | None = None

    def __eq__(self, other: object) -> bool:
        """Equal nodes, outputs, tail and schedule, and arrays equal bit for bit."""
        if not isinstance(other, Network):
            return NotImplemented
        same = (self.nodes, self.outputs, self.schedule, self.stage, self.analog_tail) == (
            other.nodes,
            other.outputs,
            other.schedule,
            other.stage,
            other.analog_tail,
        )
        return (
            same
            and self.arrays.keys() == other.arrays.keys()
            and all(
                a.dtype == (b := other.arrays[name]).dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
                for name, a in self.arrays.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The node of each name."""
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value (a node that reads it twice stands once)."""
        found: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The graph's inputs, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @cached_property
    def sampled(self) -> Input:
        """The first input that carries samples on an axis, or the first of all where none does."""
        return next((node for node in self.inputs if node.batch is not None), self.inputs[0])

    @cached_property
    def varying(self) -> frozenset[str]:
        """The values that carry rates: they depend on a float input, which integer networks get as bytes.

        All others are static.
        """
        found: set[str] = set()
        for node in self.nodes:
            rate_coded_input = isinstance(node, Input) and (node.dtype == "float32" or self.stage == "integer")
            if rate_coded_input or any(name in found for name in node.inputs):
                found.add(node.name)
        return frozenset(found)

    def varying_positions(self, node: Node) -> tuple[int, ...]:
        """The positions of a node's inputs that carry rates."""
        return tuple(i for i, name in enumerate(node.inputs) if name in self.varying)

    def is_linear(self, node: Node) -> bool:
        """Whether a node is linear (affine) in the inputs that carry rates; static nodes count as linear."""
        if isinstance(node, Differential):
            return False
        varying = set(self.varying_positions(node))
        return not varying or any(varying <= set(group) for group in node.linear_in())

    def with_arrays(self, arrays: Mapping[str, Array]) -> Network:
        """The same nodes with some arrays added or replaced."""
        return replace(self, arrays={**self.arrays, **{name: frozen(a) for name, a in arrays.items()}})

    def rewrite(
        self,
        change: Callable[[Node], Node | Sequence[Node]],
        arrays: Mapping[str, Array] | None = None,
        **fields: Any,
    ) -> Network:
        """Every node replaced by `change(node)`; what nothing reads any more is dropped.

        `change` returns the node itself, another node of the same name, or several of which the last has that name.
        """
        nodes: list[Node] = []
        for node in self.nodes:
            new = change(node)
            nodes.extend([new] if isinstance(new, Node) else new)
        everything = {**self.arrays, **{name: frozen(a) for name, a in (arrays or {}).items()}}
        return replace(self, nodes=tuple(nodes), arrays=everything, **fields).pruned()

    def pruned(self) -> Network:
        """Without the nodes and arrays that no output needs; inputs stay."""
        needed = set(self.outputs)
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        nodes = tuple(node for node in self.nodes if node.name in needed or isinstance(node, Input))
        kept = replace(self, nodes=nodes)
        return replace(kept, arrays={name: self.arrays[name] for name in sorted(kept.array_names())})

    def array_names(self) -> frozenset[str]:
        """The arrays that nodes or the tail refer to."""
        tail = () if self.analog_tail is None else (self.analog_tail.model,)
        return frozenset(tail) | {name for node in self.nodes for name in node.array_names()}

    def replaced(self, nodes: Iterable[Node], arrays: Mapping[str, Array] | None = None) -> Network:
        """The network with some nodes exchanged for others of the same name."""
        new = {node.name: node for node in nodes}
        return self.rewrite(lambda node: new.get(node.name, node), arrays)

    def value_of(self, name: str) -> Array | None:
        """The array of a `Constant` node, None for any other node."""
        node = self[name]
        return self.arrays[node.value] if isinstance(node, Constant) else None
