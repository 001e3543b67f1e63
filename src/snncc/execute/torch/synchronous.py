# SPDX-License-Identifier: Apache-2.0
"""The quantised reference: a spiking network run layer by layer, without time between the layers.

Each neuron gets the mean output of the layers before it as a constant current for T steps. What is lost against the
ANN is then due to quantisation alone; what the simulation loses or gains beyond it is due to asynchrony.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from snncc.execute.torch.engine import Engine
from snncc.execute.torch.layout import Value, unfold
from snncc.execute.torch.session import Session
from snncc.ir.nodes import Constant, Differential, Input, Neuron, Node

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Synchronous:
    """One evaluation of a network without time between the layers: neurons get a constant current for T steps."""

    engine: Engine
    timesteps: int
    piece: int

    @torch.no_grad()
    def run(self, feeds: Mapping[str, Any], forced: Mapping[str, Array]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(mean output of every layer and output, current into every neuron); `forced` values go on downstream."""
        engine, net = self.engine, self.engine.network
        session = Session(engine, feeds, self.timesteps, (self.timesteps,), None, False)
        values: dict[str, Tensor] = {}
        means: dict[str, Tensor] = {}
        currents: dict[str, Tensor] = {}
        for node in net.nodes:
            inputs = [values[name] for name in node.inputs]
            if isinstance(node, Neuron):
                currents[node.name] = inputs[0]
                values[node.name] = means[node.name] = self.drive(session, node, inputs[0])
            elif isinstance(node, (Input, Constant)):
                values[node.name] = engine.plain(node, [], 1.0, session.samples, feeds)
            elif node.name in engine.emits or isinstance(node, Differential):
                values[node.name] = means[node.name] = self.once(session, node, inputs, feeds)
            else:
                values[node.name] = engine.plain(node, inputs, 1.0, session.samples, feeds)
            if node.name in net.outputs:
                means[node.name] = values[node.name]
            if node.name in forced:
                values[node.name] = engine.tensor(forced[node.name])
            for name in engine.last_use.get(node.name, ()):
                values.pop(name, None)
        return means, currents

    def once(self, session: Session, node: Node, inputs: Sequence[Tensor], feeds: Mapping[str, Any]) -> Tensor:
        """A function of the means; a node that makes spikes of the input counts as its mean, the input."""
        if not isinstance(node, Differential):
            return inputs[0]
        return session.cast(session.once(node, session.clamped(node, [Value(x, "steady") for x in inputs])))

    def drive(self, session: Session, node: Neuron, current: Tensor) -> Tensor:
        """The mean that a neuron emits in T steps of a constant current."""
        total: Tensor | None = None
        for begin in range(0, self.timesteps, self.piece):
            end = min(begin + self.piece, self.timesteps)
            session.begin = begin
            fired = session.fire(node, Value(current, "steady"), session.gates(begin, end))
            part = unfold(fired.data, node.batch, end - begin).sum(0)
            total = part if total is None else total + part
        divisor = self.engine.network.schedule.divisor(self.timesteps)
        return current if total is None else total / divisor

    def outputs(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The network's outputs for one batch."""
        means, _ = self.run(feeds, {})
        return {name: means[name].cpu().numpy() for name in self.engine.network.outputs}


@dataclass(frozen=True, slots=True)
class QuantisedReference:
    """The outputs of the quantised reference for one batch at any T; `piece`: steps held at once."""

    engine: Engine
    piece: int

    def __call__(self, feeds: Mapping[str, Any], timesteps: int, /) -> dict[str, Array]:
        """The outputs by name."""
        return Synchronous(self.engine, timesteps, self.piece).outputs(feeds)
