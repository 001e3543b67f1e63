# SPDX-License-Identifier: Apache-2.0
"""A prepared network as a torch module: the IR's own functions on parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snncc.functions.torch.table import FUNCTIONS
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    BatchNorm,
    Constant,
    Conv,
    ConvTranspose,
    Input,
    Linear,
    MaxPool,
    Node,
    QuantizedRelu,
    Repeat,
)
from snncc.training.prepare import Prepared
from snncc.training.quantizers import LearnedStep, LevelRelu, Ternary, ternary

#: The share that one batch has in BatchNormalization's running statistics.
MOMENTUM = 0.1
#: A learned step never falls below this part of a unit.
SMALLEST_STEP = 1e-5


def trained_arrays(net: Network) -> list[str]:
    """The arrays that are trained: weights, biases, gamma and beta, in order."""
    found: list[str] = []
    for node in net.nodes:
        if isinstance(node, Conv | ConvTranspose | Linear):
            found += [node.weight, *([node.bias] if node.bias else [])]
        elif isinstance(node, BatchNorm):
            found += [node.gamma, node.beta]
    return list(dict.fromkeys(found))


class TrainableNetwork(nn.Module):
    """A network whose weights, normalisations and (qffs) steps are parameters; `forward` returns the logits."""

    def __init__(self, prepared: Prepared, *, learned_steps: bool) -> None:
        super().__init__()
        self.prepared, self.network, self.learned_steps = prepared, prepared.network, learned_steps
        net = self.network
        trained = set(trained_arrays(net))
        self.keys = {name: f"a{i}" for i, name in enumerate(net.arrays)}
        steps = {n.step for n in net.nodes if isinstance(n, QuantizedRelu)} if learned_steps else set()
        for name, array in net.arrays.items():
            value = torch.from_numpy(np.array(array))
            if value.ndim == 4:  # as the convolutions of CPUs and GPUs like them best
                value = value.contiguous(memory_format=torch.channels_last)
            if name in trained or name in steps:
                self.register_parameter(self.keys[name], nn.Parameter(value))
            else:
                self.register_buffer(self.keys[name], value)
        #: Learned steps that the next batch sets.
        self.fresh_steps = set(steps)
        #: The share of a batch in the running statistics.
        self.momentum = MOMENTUM

    def array(self, name: str) -> Tensor:
        """The parameter or buffer of an array."""
        found: Tensor = getattr(self, self.keys[name])
        return found

    def forward(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """The logits of a batch."""
        values: dict[str, Tensor] = {}
        first = self.network.sampled
        samples = int(feeds[first.name].shape[first.batch or 0])
        for node in self.network.nodes:
            if isinstance(node, Input):
                values[node.name] = feeds[node.name]
            elif isinstance(node, Constant):
                values[node.name] = self.array(node.value)
            elif isinstance(node, Repeat):
                axis = node.batch or 0
                repeats = [samples if i == axis else 1 for i in range(len(node.shape))]
                values[node.name] = values[node.inputs[0]].repeat(repeats)
            else:
                values[node.name] = self.compute(node, [values[name] for name in node.inputs])
            if node.name == self.prepared.logits:
                break
        return values[self.prepared.logits]

    def compute(self, node: Node, inputs: list[Tensor]) -> Tensor:
        """One stateless node."""
        if isinstance(node, QuantizedRelu):
            return self.quantized(node, inputs[0])
        if isinstance(node, BatchNorm):
            return self.normalized(node, inputs[0])
        if isinstance(node, MaxPool) and len(node.kernel) == 2 and not node.ceil_mode:
            begin, end = node.padding[:2], node.padding[2:]
            if begin == end and all(2 * p <= k for p, k in zip(begin, node.kernel, strict=True)):
                return F.max_pool2d(inputs[0], node.kernel, node.stride, begin, node.dilation)
        call = node.call()
        operands = [None if name is None else self.array(name) for name in call.arrays]
        if node.name in self.prepared.ternary:
            operands[0] = Ternary.apply(operands[0])  # type: ignore[no-untyped-call]
        extra = {"offset": 1.0} if call.offset else {}
        return FUNCTIONS[call.function](*inputs, *operands, **call.options, **extra)

    def quantized(self, node: QuantizedRelu, x: Tensor) -> Tensor:
        """The quantised ReLU in training: a learned step (qffs) or fixed levels (zou)."""
        x = x.float()
        if not self.learned_steps:
            unit = 1 / float(self.network.arrays[node.amplitude])
            return LevelRelu.apply(x, unit, node.levels)  # type: ignore[no-untyped-call, no-any-return]
        step, levels = self.array(node.step), node.levels or 1
        if node.step in self.fresh_steps and self.training:
            with torch.no_grad():  # 2 mean |v| / sqrt(Q), from the first batch
                step.fill_(max(2 * float(x.abs().mean()) / levels**0.5, SMALLEST_STEP))
            self.fresh_steps.discard(node.step)
        features = float(np.prod(node.shape))
        return LearnedStep.apply(x, step, levels, (features * levels) ** -0.5)  # type: ignore[no-untyped-call, no-any-return]

    def normalized(self, node: BatchNorm, x: Tensor) -> Tensor:
        """BatchNormalization, on the batch's statistics in training."""
        mean, variance, gamma, beta = (self.array(n) for n in (node.mean, node.variance, node.gamma, node.beta))
        return F.batch_norm(x, mean, variance, gamma, beta, self.training, self.momentum, node.epsilon)

    def keep_steps_positive(self) -> None:
        """After an optimiser's step: learned steps stay positive."""
        with torch.no_grad():
            for node in self.network.nodes:
                if self.learned_steps and isinstance(node, QuantizedRelu):
                    self.array(node.step).clamp_(min=SMALLEST_STEP)

    @torch.no_grad()
    def estimate(self, batches: list[dict[str, Tensor]]) -> None:
        """Running statistics anew: their mean over batches (layers behind one another settle within a few)."""
        self.train()
        for i, feeds in enumerate(batches):
            self.momentum = 1 / (i + 1)
            self(feeds)
        self.momentum = MOMENTUM

    def trained(self) -> Network:
        """The network with what was learned: ternary weights, steps, offsets and amplitudes in place."""
        net = self.network
        arrays: dict[str, Array] = {name: self.array(name).detach().cpu().numpy() for name in net.arrays}
        for node in net.nodes:
            if node.name in self.prepared.ternary and isinstance(node, Conv | ConvTranspose | Linear):
                arrays[node.weight] = ternary(self.array(node.weight).detach()).cpu().numpy()
            if isinstance(node, QuantizedRelu) and self.learned_steps:
                arrays[node.offset], arrays[node.amplitude] = arrays[node.step] / 2, arrays[node.step]
        return net.with_arrays(arrays)
