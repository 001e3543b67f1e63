# SPDX-License-Identifier: Apache-2.0
"""Fan-out: how many synaptic operations one event costs, by real connections."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from snncc.execute.torch.engine import Engine
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.classes import event_products
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    Affine,
    AveragePool,
    BatchNorm,
    Differential,
    Neuron,
    Node,
    Operator,
    Reduce,
    Spiking,
    Sum,
)


def fan_out(network: Network) -> Mapping[str, Array]:
    """The additions that one event of each source causes, per neuron of the source, shaped like one sample.

    An event reaches weighted nodes through routes without weights (pools, sums, concatenations, reshapes), and each
    weight that it meets is one addition, at borders fewer than inside; zero weights count. An identity shortcut into
    a neuron is one addition. In a product of two values that both come as events, d(A B) = dA B + A dB: an event in A
    meets one row of the running sum B, an event in B one column of A, as if these were weights. Found as the derivative
    of the network with all weights, and the other factors of products, set to one.
    """
    products = event_products(network)
    engine = Engine(network, dtype=torch.float64)
    engine.arrays |= {name: torch.ones_like(x) for name, x in engine.arrays.items() if x.is_floating_point()}
    leaves: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}
    total: Tensor = torch.zeros((), dtype=torch.float64)
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        none = torch.zeros(tuple(node.shape), dtype=torch.float64)
        if node.name not in network.varying or not inputs:
            values[node.name] = none
        elif isinstance(node, (Spiking, Differential)):
            if isinstance(node, Neuron):
                total = total + inputs[0].sum()
            elif isinstance(node, Differential) and node.name in products:
                total = total + connections(engine, node, inputs)
            values[node.name] = leaves[node.name] = none.requires_grad_()
        else:
            routed = routes(engine, node, inputs)
            if multiply_accumulates(network, node):
                total = total + routed.sum()
                routed = routed.detach()
            values[node.name] = routed
    if total.grad_fn is None:  # nothing reaches a synapse
        return {name: np.zeros(network[name].shape) for name in leaves}
    grads = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {name: grad.numpy() for name, grad in zip(leaves, grads, strict=True)}


def connections(engine: Engine, node: Differential, inputs: list[Tensor]) -> Tensor:
    """What the events of each factor meet in a product, the other factors being ones."""
    total: Tensor = torch.zeros((), dtype=torch.float64)
    for side in engine.network.varying_positions(node):
        factors = [x if i == side else torch.ones_like(x) for i, x in enumerate(inputs)]
        total = total + engine.plain(node.function, factors, 0.0, 1, {}).sum()
    return total


def routes(engine: Engine, node: Node, inputs: list[Tensor]) -> Tensor:
    """A linear node with every weight one: it counts connections."""
    shape = tuple(node.shape)
    if isinstance(node, Affine | BatchNorm):
        return inputs[0].expand(shape)
    if isinstance(node, Sum) or (isinstance(node, Operator) and node.op in ("multiply", "divide")):
        varying = [inputs[i] for i in engine.network.varying_positions(node)]
        return sum((x.expand(shape) for x in varying), torch.zeros(shape, dtype=torch.float64))
    if isinstance(node, Operator) and node.op == "matmul":
        side = engine.network.varying_positions(node)[0]
        full = [torch.ones_like(x) if i != side else x for i, x in enumerate(inputs)]
        return torch.matmul(*full)
    result = engine.plain(node, inputs, 0.0, 1, {})
    if isinstance(node, AveragePool):
        return result * math.prod(node.kernel)
    if isinstance(node, Reduce) and node.op == "mean":
        return result * math.prod(engine.network[node.inputs[0]].shape[axis] for axis in node.axes)
    return result
