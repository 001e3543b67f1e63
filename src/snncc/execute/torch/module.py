# SPDX-License-Identifier: Apache-2.0
"""`SpikingModule`: a network as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snncc.execute.analog_tail import evaluate, places
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network


class SpikingModule(nn.Module):
    """A spiking network whose `forward` gives the accumulated output over D(T), scaled like the ANN's output.

    inputs: one tensor per input of the network, in its order, samples on axis 0. timesteps: T, by default the design
    T. Returns a tensor, or a dict by name where there are several outputs; any device and float type
    (`module.double()`, `module.to("cuda")`). It is for inference: no gradients.
    """

    def __init__(self, network: Network, timesteps: int) -> None:
        super().__init__()
        self.network, self.timesteps = network, timesteps
        self.register_buffer("reference", torch.zeros(()))
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """The executor for the module's present device and type."""
        like = self.reference
        if not isinstance(like, Tensor):
            raise TypeError("the buffer that tells device and type is gone")
        if self._engine is None or (self._engine.device, self._engine.dtype) != (like.device, like.dtype):
            self._engine = Engine(self.network, device=like.device, dtype=like.dtype)
        return self._engine

    def forward(self, *inputs: Tensor | int, timesteps: int | None = None) -> Tensor | dict[str, Tensor]:
        """Simulate; see the class. T may also be given as the last positional argument."""
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        if inputs and isinstance(inputs[-1], int):
            timesteps = inputs[-1]
        steps = self.timesteps if timesteps is None else timesteps
        if steps < 1:
            raise ValueError(f"timesteps must be at least 1, not {steps}")
        names = [node.name for node in self.network.inputs]
        if len(tensors) != len(names):
            raise ValueError(f"the network has {len(names)} inputs ({', '.join(names)}), {len(tensors)} given")
        samples = len(tensors[0])
        batch, piece = plan(self.network, steps, samples)
        engine, parts = self.engine(), []
        for start in range(0, samples, batch):
            feeds = {name: x[start : start + batch] for name, x in zip(names, tensors, strict=True)}
            run = engine.run(feeds, steps, steps_at_once=piece, count=False, first_sample=start)
            parts.append(run.outputs)
        joined = {}
        for name in self.network.outputs:
            axis = self.network[name].batch
            results = [part[name][0] for part in parts]
            joined[name] = torch.stack(results) if axis is None else torch.cat(results, axis)
        return joined if len(joined) > 1 else joined[self.network.outputs[0]]

    def tail(self, outputs: Tensor | dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """What the ANN computes behind the network (NonMaxSuppression, ...) from what `forward` gave, sample by sample.

        Evaluated by onnxruntime; an empty list where the network ends with the ANN.
        """
        values = {self.network.outputs[0]: outputs} if isinstance(outputs, Tensor) else outputs
        where = places(self.network)
        if self.network.sampled.batch is None:  # `forward` has stacked the samples
            where = dict.fromkeys(values, (0, 0))
        return evaluate(self.network, values, where)
