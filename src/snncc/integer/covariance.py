# SPDX-License-Identifier: Apache-2.0
"""Input covariance: mean and covariance of what the weighted nodes of a spiking network read, averaged over steps."""

from __future__ import annotations

import torch
from torch import Tensor

from snncc.data.dataset import Dataset
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.replay import between
from snncc.integer.rounding import InputCovariance
from snncc.ir.network import Network
from snncc.ir.nodes import Conv, Linear, Node
from snncc.transform.features import drawn_positions, patches, positions

SAMPLES = 256
#: Steps that are simulated.
STEPS = 8
#: Output positions at which a node's input is looked at, and entries of all that is read there.
ROWS, ENTRIES = 16384, 1 << 24
#: Features beyond which no covariance is kept.
FEATURES = 2048


def input_covariances(net: Network, samples: Dataset, seed: int = 0) -> dict[str, InputCovariance]:
    """For each weighted node, mean and covariance over samples and random output positions.

    Spikes are counted in a simulation; what lies between neurons is linear, so its means are computed from theirs.
    """
    data, engine = samples.head(SAMPLES), Engine(net)
    size, piece = plan(net, STEPS, len(data))
    divisor, generator = net.schedule.divisor(STEPS), torch.Generator().manual_seed(seed)
    weighted = [n for n in net.nodes if isinstance(n, Conv | Linear) and n.name in net.varying]
    sums: dict[str, tuple[int, Tensor, Tensor | None]] = {}
    means: dict[str, Tensor] = {}

    def accumulate(node: Node, series: Tensor) -> None:
        total = series.sum(0) / divisor
        means[node.name] = means[node.name] + total if node.name in means else total

    def look(node: Conv | Linear, count: int) -> None:
        shape = tuple(d * count if i == node.batch else d for i, d in enumerate(node.shape))
        total, weight = positions(node, shape), engine.arrays[node.weight]
        groups = node.groups if isinstance(node, Conv) else 1
        features = weight[0].numel()
        share = max(1, min(ROWS, ENTRIES // (groups * features)) * count // len(data))
        rows = drawn_positions(total, share, generator)
        f = patches(means[node.inputs[0]], node, weight, rows).double()
        rows_before, first, second = sums.get(node.name, (0, f.new_zeros(groups, features), None))
        if features <= FEATURES:
            power = f.transpose(1, 2) @ f
            second = power if second is None else second + power
        sums[node.name] = rows_before + len(rows), first + f.sum(1), second

    with torch.no_grad():
        for feeds in data.batches(size):
            means.clear()
            engine.run(feeds, STEPS, steps_at_once=piece, observe=accumulate, count=False)
            count = engine.samples(feeds)
            for node in weighted:
                for inner in between(net, node.inputs[0], frozenset(means)):
                    inputs = [means[name] for name in inner.inputs]
                    means[inner.name] = engine.plain(inner, inputs, 1.0, count, feeds)
                look(node, count)
    covariances = {}
    for name, (rows, first, second) in sums.items():
        mean = first / rows
        spread = None if second is None else second / rows - mean[:, :, None] * mean[:, None, :]
        covariances[name] = InputCovariance(mean.numpy(), None if spread is None else spread.numpy())
    return covariances
