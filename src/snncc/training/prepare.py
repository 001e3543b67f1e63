# SPDX-License-Identifier: Apache-2.0
"""The changes that make a graph trainable for a method: quantised activations, inserted normalisation, pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np

from snncc.errors import UsageError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    BatchNorm,
    Clip,
    Conv,
    Differential,
    Foreign,
    LeakyRelu,
    Linear,
    MaxPool,
    Node,
    Operator,
    QuantizedRelu,
    Relu,
)
from snncc.training.settings import Settings

#: The levels of Zou's encoder layer, in whole units.
ENCODER_LEVELS = 4
Role = Literal["encoder", "ternary", "real"]


@dataclass(slots=True)
class Prepared:
    """A network ready to train. `logits`: the value that the loss is taken of; `ternary`: nodes with such weights;
    `inserted`: inserted normalisations, whose statistics are yet to be measured; `changes`: lines for the user."""

    network: Network
    logits: str
    ternary: frozenset[str] = frozenset()
    inserted: tuple[str, ...] = ()
    changes: list[str] = field(default_factory=list)


def logits_of(net: Network) -> str:
    """The value before a final (log-)softmax."""
    node = net[net.outputs[0]]
    return node.inputs[0] if isinstance(node, Operator) and node.op in ("softmax", "log_softmax") else node.name


def refuse_untrainable(net: Network, method: str) -> None:
    """Raise UsageError for what has no gradient or no counterpart in the method."""
    for node in net.nodes:
        if node.name not in net.varying:
            continue
        if node.batch is None:
            raise UsageError("the model has no axis for samples", cure="export it with a free batch axis")
        if isinstance(node, LeakyRelu):
            raise UsageError(f"{node.name}: {method} knows ReLU only", cure="replace the activation and train again")
        if isinstance(node, Foreign | Differential) or (isinstance(node, Operator) and node.op == "fake_quantize"):
            raise UsageError(f"{node.name} cannot be trained through", cure="start from the float model")


def activation(node: Node, levels: int | None, amplitude: float) -> tuple[QuantizedRelu, dict[str, Array]]:
    """A quantised ReLU with one step in place of a node."""
    names: dict[str, Any] = {key: f"{node.name}/{key}" for key in ("step", "offset", "amplitude")}
    values = {"step": amplitude, "offset": amplitude / 2, "amplitude": amplitude}
    arrays = {names[key]: np.asarray(value, np.float32) for key, value in values.items()}
    common: dict[str, Any] = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
    return QuantizedRelu(**common, **names, levels=levels), arrays


def strided(net: Network, node: MaxPool) -> tuple[list[Node], dict[str, Array]]:
    """A trained convolution of a pool's window and stride, and its ReLU, which begin as average pooling."""
    channels, area = node.shape[1], int(np.prod(node.kernel))
    weight = np.zeros((channels, channels, *node.kernel), np.float32)
    weight[np.arange(channels), np.arange(channels)] = 1 / area
    name = f"{node.name}.pool"
    common: dict[str, Any] = {"shape": node.shape, "batch": node.batch}
    window: dict[str, Any] = {"stride": node.stride, "padding": node.padding, "dilation": node.dilation}
    convolution = Conv(name=name, inputs=node.inputs, **common, **window, weight=f"{name}/weight")
    return [convolution, Relu(name=node.name, inputs=(name,), **common)], {f"{name}/weight": weight}


def with_strided_pools(net: Network, changes: list[str]) -> Network:
    """Max pools become trained convolutions."""
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node | list[Node]:
        if not isinstance(node, MaxPool) or node.name not in net.varying:
            return node
        if node.ceil_mode:
            raise UsageError(f"{node.name}: a pool with ceil_mode cannot become a convolution", cure="--pool event")
        nodes, added = strided(net, node)
        arrays.update(added)
        changes.append(f"{node.name}: max pooling becomes a trained convolution of stride {list(node.stride)}")
        return nodes

    return net.rewrite(change, arrays)


def prepare_qffs(net: Network, settings: Settings) -> Prepared:
    """Every ReLU becomes a quantised one with a learned step; with `out_bits` the output gets one too."""
    refuse_untrainable(net, "qffs")
    changes: list[str] = []
    net = with_strided_pools(net, changes) if settings.pool == "stride" else net
    arrays: dict[str, Array] = {}
    logits = logits_of(net)

    def change(node: Node) -> Node | list[Node]:
        if node.name not in net.varying:
            return node
        if isinstance(node, Relu | Clip):
            new, added = activation(node, 2**settings.bits - 1, 1.0)
            arrays.update(added)
            changes.append(f"{node.name}: ReLU quantised to {settings.bits} bits, step learned")
            return new
        if node.name == logits and settings.out_bits:
            inner = msgspec.structs.replace(node, name=f"{node.name}.current")
            new, added = activation(node, 2**settings.out_bits - 1, 1.0)
            arrays.update(added)
            changes.append(f"{node.name}: output quantised to {settings.out_bits} bits, at least 0, step learned")
            return [inner, msgspec.structs.replace(new, inputs=(inner.name,))]
        return node

    return Prepared(net.rewrite(change, arrays), logits, changes=changes)


def fed_by_input(net: Network, node: Node) -> bool:
    """Whether no activation lies between the input and a node."""
    while node.inputs:
        if isinstance(node, Relu | Clip | QuantizedRelu | MaxPool):
            return False
        node = net[node.inputs[0]]
    return True


def prepare_zou(net: Network, settings: Settings, moments: Mapping[str, tuple[Array, Array]]) -> Prepared:
    """Ternary weights, BatchNorm before every quantised ReLU, levels of 2^-k, an encoder layer of four levels.

    `moments`: mean and variance per channel of the values of convolutions and matrices without BatchNorm; there one
    is inserted with gamma = their deviation and beta = their mean, so that it begins as the identity.
    """
    refuse_untrainable(net, "zou")
    changes: list[str] = []
    arrays: dict[str, Array] = {}
    ternary, inserted = set[str](), list[str]()
    wanted: dict[str, Role] = {}
    for node in net.nodes:
        if not isinstance(node, Relu | Clip | QuantizedRelu) or node.name not in net.varying:
            continue
        before = net[node.inputs[0]]
        weighted = net[before.inputs[0]] if isinstance(before, BatchNorm) else before
        alone = len(net.consumers[before.name]) == 1 and len(net.consumers[weighted.name]) == 1
        if isinstance(weighted, Conv | Linear) and alone:
            wanted[weighted.name] = "encoder" if fed_by_input(net, net[weighted.inputs[0]]) else settings.weights

    def change(node: Node) -> Node | list[Node]:
        if isinstance(node, Relu | Clip | QuantizedRelu) and node.name in net.varying:
            before = net[node.inputs[0]]
            weighted = net[before.inputs[0]] if isinstance(before, BatchNorm) else before
            encoder = wanted.get(weighted.name) == "encoder"
            levels, unit = (ENCODER_LEVELS, 1.0) if encoder else (None, 2.0**-settings.level)
            new, added = activation(node, levels, unit)
            arrays.update(added)
            what = f"clipped at {ENCODER_LEVELS} levels of 1 (encoder)" if encoder else f"levels of {unit:g}"
            changes.append(f"{node.name}: ReLU quantised, {what}")
            return new
        if not isinstance(node, Conv | Linear) or node.name not in wanted:
            if isinstance(node, Conv | Linear) and node.name in net.varying:
                changes.append(f"{node.name}: weights stay real")
            return node
        if wanted[node.name] == "ternary":
            changes.append(f"{node.name}: weights become ternary")
        else:
            changes.append(f"{node.name}: weights stay real" + " (encoder)" * (wanted[node.name] == "encoder"))
        if isinstance(net.consumers[node.name][0], BatchNorm):
            if wanted[node.name] == "ternary":
                ternary.add(node.name)
                inserted.append(net.consumers[node.name][0].name)
            return node
        mean, variance = moments[node.name]
        inner = msgspec.structs.replace(node, name=f"{node.name}.sum", bias=None)
        bias = np.zeros_like(mean) if node.bias is None else net.arrays[node.bias]
        keys = {"gamma": np.sqrt(variance + 1e-5), "beta": mean, "mean": mean - bias, "variance": variance}
        names: dict[str, Any] = {key: f"{node.name}/{key}" for key in keys}
        arrays.update({names[key]: np.asarray(value, np.float32) for key, value in keys.items()})
        common: dict[str, Any] = {"name": node.name, "inputs": (inner.name,), "shape": node.shape, "batch": node.batch}
        if wanted[node.name] == "ternary":
            ternary.add(inner.name)
        inserted.append(node.name)
        changes.append(f"{node.name}: BatchNormalization inserted (gamma = deviation, beta = mean)")
        return [inner, BatchNorm(**common, **names, epsilon=1e-5)]

    rewritten = net.rewrite(change, arrays)
    return Prepared(rewritten, logits_of(rewritten), frozenset(ternary), tuple(inserted), changes)
