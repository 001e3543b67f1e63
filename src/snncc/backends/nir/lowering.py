# SPDX-License-Identifier: Apache-2.0
"""What NIR can say of a spiking network, and the named lowerings that make more of it sayable by changing its meaning.

NIR's integrate-and-fire neuron: v' = R I; z = [v > v_threshold]; v = v_reset where z (doi:10.1038/s41467-024-52259-9).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from snncc.backends.nir.constants import with_constants_absorbed
from snncc.errors import EmitError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import (
    IF,
    Affine,
    AveragePool,
    Conv,
    Differential,
    Encoder,
    Input,
    Linear,
    Neuron,
    Node,
    Operator,
    Reduce,
    Reshape,
    Sum,
)
from snncc.transform.passes.absorb_amplitudes import with_unit_spikes

Lowering = Literal["single-spike", "unsigned", "zero-start", "hard-reset", "strict-threshold"]
#: What each does to the network, in the order in which they are applied and measured.
LOWERINGS: Mapping[Lowering, str] = {
    "single-spike": "one spike in a step instead of several",
    "unsigned": "no negative spikes and no memory of those emitted",
    "zero-start": "membranes start at 0",
    "hard-reset": "a spike sets the membrane to 0 instead of subtracting the threshold",
    "strict-threshold": "a neuron fires above its threshold, not at it",
}


def neuron_needs(net: Network, node: Node) -> Iterator[Lowering]:
    """The lowerings without which NIR cannot say a neuron."""
    if not isinstance(node, Neuron):
        return
    if node.at_once > 1:
        yield "single-spike"
    if node.WHOLE:
        if node.negative:
            yield "unsigned"
        if np.any(net.arrays[node.v_init]):
            yield "zero-start"
        if node.reset == "subtract":
            yield "hard-reset"
        yield "strict-threshold"


def same_ends(padding: Sequence[int]) -> bool:
    """Whether an axis is padded alike at both ends."""
    half = len(padding) // 2
    return tuple(padding[:half]) == tuple(padding[half:])


def of_conv(net: Network, node: Conv) -> str | None:
    """Why NIR cannot say a convolution."""
    if len(node.shape) not in (3, 4):
        return "NIR has convolutions over one and two axes"
    if not same_ends(node.padding):
        return f"NIR pads both ends alike, not by {list(node.padding)}"
    kernel = net.arrays[node.weight].shape[2:]
    return "the package nir infers shapes for square kernels alone" if len(set(kernel)) > 1 else None


def of_average(net: Network, node: AveragePool) -> str | None:
    """Why NIR cannot say a pool of means."""
    plain = len(node.kernel) == 2 and set(node.dilation) == {1} and same_ends(node.padding)
    counts = node.count_include_pad or not any(node.padding)
    places = zip(net[node.inputs[0]].shape[2:], node.padding, node.kernel, node.stride, strict=False)
    fits = not node.ceil_mode or all((extent + 2 * p - k) % s == 0 for extent, p, k, s in places)
    return None if plain and counts and fits else "NIR averages whole windows of images that count their padding"


def of_sum(net: Network, node: Sum) -> str | None:
    """Why NIR cannot say a sum."""
    same = all(name in net.varying and net[name].shape == node.shape for name in node.inputs)
    return None if same else "NIR sums edges of one shape, and no constants"


def of_reduce(net: Network, node: Reduce) -> str | None:
    """Why NIR cannot say a reduction."""
    whole = len(net[node.inputs[0]].shape) == 4 and set(node.axes) == {2, 3}
    return None if whole else "NIR reduces both axes of an image or nothing"


def of_reshape(net: Network, node: Reshape) -> str | None:
    """Why NIR cannot say a change of shape."""
    flat = len(node.shape) == 2 and math.prod(node.shape) == math.prod(net[node.inputs[0]].shape)
    return None if flat else "NIR's only change of shape is Flatten"


def of_linear(net: Network, node: Linear) -> str | None:
    """Why NIR cannot say a product with a matrix."""
    return None if len(node.shape) == 2 else "NIR multiplies vectors, not one axis of several"


def of_affine(net: Network, node: Affine) -> str | None:
    """Why NIR cannot say scales and shifts."""
    return "NIR adds constants in products and convolutions alone" if node.shift is not None else None


#: Of each kind of node that NIR has, the reason why one of them may still not be said.
SAYABLE: dict[type[Node], Callable[[Network, Any], str | None]] = {
    Input: lambda net, node: None,
    Conv: of_conv,
    Linear: of_linear,
    AveragePool: of_average,
    Reduce: of_reduce,
    Affine: of_affine,
    Reshape: of_reshape,
    Sum: of_sum,
}


def unsayable(net: Network, node: Node) -> str | None:
    """Why NIR has no node for this one; None where it has."""
    if node.batch != 0 or node.shape[0] != 1:
        return "NIR knows one sample at a time, and this value does not have its samples on axis 0"
    for known, reason in SAYABLE.items():
        if isinstance(node, known):
            return reason(net, node)
    if isinstance(node, Encoder):
        return "NIR's input is not encoded"
    inner = node.function if isinstance(node, Differential) else node
    kind = inner.op if isinstance(inner, Operator) else type(inner).__name__
    if isinstance(node, Neuron):
        return None if node.WHOLE else f"NIR has no {kind} neuron"
    return f"NIR has no {kind}"


def reasons(net: Network, allow: Sequence[str]) -> list[str]:
    """Everything that stands in the way, each with the values that it concerns."""
    net = with_constants_absorbed(net)
    found: dict[str, list[str]] = {}
    if net.schedule.kind != "constant":
        found["NIR's biases never end, those of this network do"] = [net.schedule.kind]
    for node in net.nodes:
        if node.name not in net.varying:
            if isinstance(node, Input):
                found.setdefault("NIR's inputs carry values over time, this one is static", []).append(node.name)
            continue
        if (reason := unsayable(net, node)) is not None:
            found.setdefault(reason, []).append(node.name)
        for lowering in neuron_needs(net, node):
            if lowering not in allow:
                text = f"NIR would need: {LOWERINGS[lowering]} (--allow {lowering})"
                found.setdefault(text, []).append(node.name)
    lines = [f"{reason}: {', '.join(names)}" for reason, names in found.items()]
    try:
        with_unit_spikes(net)
    except EmitError as error:
        lines.append(f"NIR's spikes are ones: {error.message}")
    return lines


def sayable(net: Network, allow: Sequence[str]) -> Network:
    """The network with unit spikes; raises EmitError with every reason why NIR cannot say it."""
    if lines := reasons(net, allow):
        text = "\n".join(f"  {line}" for line in lines)
        raise EmitError(f"NIR cannot say this network, for {len(lines)} reasons\n{text}", cure="emit onnx or torch")
    return with_constants_absorbed(with_unit_spikes(with_constants_absorbed(net)))


def applied(net: Network, lowering: str) -> Network:
    """The network after one lowering; `strict-threshold` is the rule of NIR's neuron and changes no node."""
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node:
        if not isinstance(node, Neuron):
            return node
        if lowering == "single-spike":
            return msgspec.structs.replace(node, **{"burst" if isinstance(node, IF) else "levels": 1})
        if lowering == "unsigned" and node.negative:
            shared = {key: getattr(node, key) for key in (*Node.__struct_fields__, "threshold", "amplitude", "v_init")}
            return IF(**shared)
        if lowering == "zero-start":
            arrays[node.v_init] = np.zeros_like(net.arrays[node.v_init])
        if lowering == "hard-reset" and isinstance(node, IF):
            return msgspec.structs.replace(node, reset="zero")
        return node

    changed = net.rewrite(change)
    return changed.with_arrays({name: array for name, array in arrays.items() if name in changed.arrays})


def with_unit_thresholds(net: Network) -> Network:
    """The network with every threshold 1, which its current is divided by: a neuron that never fires gets none.

    Weights that only the neuron reads absorb the division; elsewhere an `Affine` multiplies the current.
    """
    arrays: dict[str, Array] = {"unit threshold": np.ones((), np.float32)}
    scaled: dict[str, Node] = {}
    before: dict[str, Node] = {}
    for node in net.nodes:
        if not isinstance(node, Neuron):
            continue
        threshold = net.arrays[node.threshold].astype(np.float64)
        factor = np.divide(1, threshold, out=np.zeros_like(threshold), where=threshold > 0)
        factor = np.broadcast_to(factor, (1,) * (len(node.shape) - factor.ndim) + factor.shape)
        source = net[node.inputs[0]]
        channels = factor.size == factor.shape[1]
        if isinstance(source, Conv | Linear) and channels and net.consumers[source.name] == (node,):
            rows = np.broadcast_to(factor.reshape(-1), (len(net.arrays[source.weight]),))
            names: dict[str, str] = {}
            for key in ("weight", "bias"):
                if (name := getattr(source, key)) is not None:
                    array = net.arrays[name]
                    names[key] = f"{source.name}/{key} by threshold"
                    arrays[names[key]] = array * rows.reshape(-1, *[1] * (array.ndim - 1))
            scaled[source.name] = msgspec.structs.replace(source, **names)
        else:
            name = f"{node.name}.current"
            arrays[f"{name}/scale"] = factor
            before[node.name] = Affine(
                name=name, inputs=node.inputs, shape=node.shape, batch=node.batch, scale=f"{name}/scale"
            )
        inputs = (before[node.name].name,) if node.name in before else node.inputs
        scaled[node.name] = msgspec.structs.replace(node, threshold="unit threshold", inputs=inputs)

    def change(node: Node) -> Node | Sequence[Node]:
        new = scaled.get(node.name, node)
        return [before[node.name], new] if node.name in before else new

    return net.rewrite(change, {name: np.asarray(array, np.float32) for name, array in arrays.items()})
