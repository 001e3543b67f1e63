# SPDX-License-Identifier: Apache-2.0
"""A network's arrays on a device, and what its stateless nodes compute there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.functions.torch.table import FUNCTIONS
from snncc.ir.analysis import last_use, tail
from snncc.ir.network import Network
from snncc.ir.nodes import Constant, Differential, Foreign, Input, Node, Repeat, Spiking


def torch_type(dtype: str) -> torch.dtype:
    """The torch type of a value."""
    found: torch.dtype = getattr(torch, dtype)
    return found


class TorchNetwork:
    """A network prepared for a device and a float type; `evaluate` computes the ANN stage."""

    def __init__(
        self, network: Network, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.network, self.device, self.dtype = network, torch.device(device), dtype
        self.arrays = {name: self.tensor(array) for name, array in network.arrays.items()}
        self.tail = tail(network)
        self.last_use = last_use(network)
        self.emits: frozenset[str] = frozenset(
            n.name for n in network.nodes if isinstance(n, (Spiking, Differential)) and n.name in network.varying
        )

    def tensor(self, array: Any) -> Tensor:
        """An array or tensor on the device, floats in its type."""
        x = array if isinstance(array, Tensor) else torch.from_numpy(np.array(array))
        return x.to(self.device, self.dtype if x.is_floating_point() else None)

    def evaluate(self, feeds: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
        """Every value of a network in its ANN stage; the readers of a `known` value get that one."""
        samples, given = self.samples(feeds), known or {}
        values: dict[str, Tensor] = {}
        seen: dict[str, Tensor] = {}
        for node in self.network.nodes:
            values[node.name] = self.plain(node, [seen[n] for n in node.inputs], 1.0, samples, feeds)
            seen[node.name] = self.tensor(given[node.name]) if node.name in given else values[node.name]
        return values

    def samples(self, feeds: Mapping[str, Any]) -> int:
        """The number of samples in a feed."""
        first = self.network.sampled
        return 1 if first.batch is None else int(feeds[first.name].shape[first.batch])

    def plain(
        self, node: Node, inputs: Sequence[Tensor], offset: Tensor | float, samples: int, feeds: Mapping[str, Any]
    ) -> Tensor:
        """A source or stateless node on whole tensors."""
        if isinstance(node, Input):
            return self.tensor(feeds[node.name])
        if isinstance(node, Constant):
            return self.arrays[node.value]
        if isinstance(node, Differential):
            return self.plain(node.function, inputs, offset, samples, feeds)
        if isinstance(node, Repeat):
            repeats = [1] * inputs[0].ndim
            repeats[node.batch or 0] = samples
            return inputs[0].repeat(repeats)
        call = node.call()
        extra = {"offset": offset} if call.offset else {}
        operands = [None if name is None else self.arrays[name] for name in call.arrays]
        return FUNCTIONS[call.function](*inputs, *operands, **call.options, **extra)

    def shapes(self, samples: int) -> Iterator[tuple[Node, tuple[int, ...]]]:
        """Each node with the shape that its function gives for inputs of the declared shapes (for device "meta")."""
        values: dict[str, Tensor] = {}
        for node in self.network.nodes:
            full = [d * samples if i == node.batch else d for i, d in enumerate(node.shape)]
            values[node.name] = torch.empty(full, device=self.device, dtype=torch_type(node.dtype))
            inner = node.function if isinstance(node, Differential) else node
            if isinstance(inner, (Input, Foreign)):  # a foreign node was measured when it was lowered
                continue
            inputs = [values[name] for name in node.inputs]
            found = inputs[0] if isinstance(node, Spiking) else self.plain(node, inputs, 1.0, samples, {})
            yield node, tuple(found.shape)
