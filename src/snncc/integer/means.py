# SPDX-License-Identifier: Apache-2.0
"""The mean of every value of a spiking network over samples and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snncc.data import Dataset
from snncc.execute.reference import evaluate_function
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Input, Node

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = 64
#: Steps that are simulated; spikes of a network whose input ends have come to rest by then.
STEPS = 16


def mean_values(net: Network, samples: Dataset) -> dict[str, Array]:
    """The mean of every value that carries rates, with the shape of its node.

    Spikes are counted in a simulation; what lies between neurons is linear, so its means are computed from theirs.
    """
    from snncc.execute.plan import plan
    from snncc.execute.torch_engine import Engine

    engine, means = Engine(net), dict[str, Array]()
    data = samples.head(SAMPLES)
    size, piece = plan(net, STEPS, len(data))
    gate = net.schedule.divisor(STEPS) / STEPS

    def add(node: Node, rows: Array, weight: float) -> None:
        axis = node.batch or 0
        split = rows.reshape(*rows.shape[:axis], -1, node.shape[axis], *rows.shape[axis + 1 :])
        total = split.sum(axis, dtype=np.float64) * weight / len(data)
        means[node.name] = means.get(node.name, np.zeros(node.shape)) + total

    def see(node: Node, series: Tensor) -> None:
        add(node, series.sum(0).numpy(), 1 / STEPS)

    for feeds in data.batches(size):
        for given in net.inputs:
            add(given, np.asarray(feeds[given.name]), gate)
        engine.run(feeds, STEPS, steps_at_once=piece, observe=see, count=False)
    for node in net.nodes:
        if node.name in net.varying and not isinstance(node, Input) and node.name not in means:
            inputs = [means[name] for name in node.inputs]
            means[node.name] = evaluate_function(node, inputs, net.arrays, gate)
    return means
