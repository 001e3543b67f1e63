# SPDX-License-Identifier: Apache-2.0
"""The ANN's values as a network names them: from onnxruntime where the graph computes them, derived elsewhere."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.ann.truth import Truth
from snncc.execute.torch.engine import Engine
from snncc.ir.masks import MASK, masked
from snncc.ir.network import Network
from snncc.ir.nodes import Input

Array = npt.NDArray[Any]


@dataclass(slots=True)
class AnnValues:
    """Values of the nodes of a network in its ANN stage, for samples stacked on axis 0 of each input.

    A node that passes have added (a clipped range shifted to zero, say) is not in the file, and what lies behind an
    approximation is no longer what the file computes; both are evaluated from the nearest values that are. Where the
    network has no batch axis, results are stacked on a new axis 0.
    """

    truth: Truth
    network: Network
    known: frozenset[str] = field(init=False)
    masked: frozenset[str] = field(init=False)
    #: How often each value was moved away from what the file computes.
    diverged: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = frozenset(self.truth.names) & frozenset(self.network.by_name)
        self.masked = masked(self.network)

    @property
    def one_at_a_time(self) -> bool:
        """Whether the network has no axis for samples."""
        return self.network.sampled.batch is None

    def batch_axis(self, name: str) -> int | None:
        """The axis of a result that carries the samples."""
        return 0 if self.one_at_a_time else self.network[name].batch

    def count(self, feeds: Mapping[str, Array]) -> int:
        """See `Truth.count`."""
        return self.truth.count(feeds)

    def take(self, feeds: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
        """See `Truth.take`."""
        return self.truth.take(feeds, start, stop)

    def checked(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Truth.checked`."""
        return self.truth.checked(feeds)

    def run(
        self, feeds: Mapping[str, Array], values: Sequence[str], *, batch_axes: Mapping[str, int] | None = None
    ) -> dict[str, Array]:
        """The values of nodes, with the samples on each node's own batch axis."""
        if not self.one_at_a_time:
            return self.at_once(feeds, values)
        feeds = self.truth.checked(feeds)
        count = self.truth.count(feeds)
        parts = [self.at_once(self.truth.take(feeds, i, i + 1), values) for i in range(count)]
        return {name: np.stack([part[name] for part in parts]) for name in values}

    def at_once(self, feeds: Mapping[str, Array], values: Sequence[str], *, original: bool = False) -> dict[str, Array]:
        """The values for samples that share one evaluation; infinities behind a mask as the network has them.

        `original`: the values of the file, approximated since or not.
        """
        needed, asked = self.needed(values, original)
        axes = {name: axis for name in asked if (axis := self.network[name].batch) is not None}
        found = self.truth.run(feeds, sorted(asked), batch_axes=axes)
        if self.one_at_a_time:  # the truth stacks what has no axis of the extent 1
            shapes = {name: self.network[name].shape for name in found}
            found = {n: a.reshape(shapes[n]) if a.size == math.prod(shapes[n]) else a for n, a in found.items()}
        else:  # single results of what the samples share are stacked
            found |= {n: self.shared(n, a) for n, a in found.items() if self.network[n].batch is None}
        hidden = self.masked & found.keys()
        found |= {n: np.nan_to_num(found[n], nan=np.nan, posinf=MASK, neginf=-MASK) for n in hidden}
        if needed:
            found |= self.derived(needed, found, feeds)
        return {name: found[name] for name in values}

    def derived(
        self, needed: Collection[str], known: Mapping[str, Array], feeds: Mapping[str, Array]
    ) -> dict[str, Array]:
        """The values of nodes, evaluated here from known ones."""
        engine = Engine(self.network)
        tensors = {name: engine.tensor(array) for name, array in known.items()}
        for node in self.network.nodes:
            if node.name in needed:
                inputs = [tensors[name] for name in node.inputs]
                tensors[node.name] = engine.plain(node, inputs, 1.0, self.truth.count(feeds), feeds)
        return {name: tensors[name].numpy() for name in needed}

    def shared(self, name: str, found: Array) -> Array:
        """A value that the samples share, where onnxruntime has stacked it or given a copy for each."""
        shape = self.network[name].shape
        if found.shape[1:] == shape:
            return np.asarray(found[0])
        if found.ndim != len(shape):
            return found
        return np.asarray(found[tuple(slice(extent) for extent in shape)])

    def diverge(self, changed: Iterable[str]) -> None:
        """Nodes that now compute something else, and all that depends on them."""
        moved = set(changed)
        for node in self.network.nodes:
            if any(name in moved for name in node.inputs):
                moved.add(node.name)
        self.diverged |= {name: self.diverged.get(name, 0) + 1 for name in moved}

    def needed(self, values: Sequence[str], original: bool = False) -> tuple[set[str], set[str]]:
        """The nodes to evaluate here, and the values to ask onnxruntime for."""
        here: set[str] = set()
        asked: set[str] = set()
        stack = list(values)
        while stack:
            name = stack.pop()
            exact = name in self.known and (original or name not in self.diverged)
            if exact or isinstance(self.network[name], Input):
                asked.add(name)
            elif name not in here:
                here.add(name)
                stack.extend(self.network[name].inputs)
        return here, asked
