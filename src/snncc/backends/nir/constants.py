# SPDX-License-Identifier: Apache-2.0
"""Constants that NIR can add and multiply by: those of an `Affine` go into the weights and biases in front of it."""

from __future__ import annotations

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Conv, Linear, Node


def per_channel(net: Network, name: str | None, node: Node, neutral: float) -> Array | None:
    """An array as one number per entry of axis 1, in float64; None where it varies along another axis."""
    if name is None:
        return np.full(node.shape[1], neutral)
    array = net.arrays[name].astype(np.float64)
    full = array.reshape((1,) * (len(node.shape) - array.ndim) + array.shape)
    if full.size > 1 and full.size != full.shape[1]:
        return None
    return np.array(np.broadcast_to(full.reshape(-1), (node.shape[1],)))


def with_constants_absorbed(net: Network) -> Network:
    """The network without the `Affine` nodes that stand behind weights which nothing else reads; exact but rounding.

    W' = scale W, b' = scale b + shift. An `Affine` of vectors that adds and stands elsewhere becomes a product with a
    diagonal matrix.
    """
    while (changed := absorbed_once(net)) is not None:
        net = changed
    return net


def absorbed_once(net: Network) -> Network | None:
    """The network with one `Affine` less; None where nothing can be absorbed."""
    found = [n for n in net.nodes if isinstance(n, Affine) and n.name in net.varying and len(n.shape) >= 2]
    return next((changed for node in found if (changed := with_weights(net, node)) is not None), None)


def with_weights(net: Network, node: Affine) -> Network | None:
    """The network with a weighted node in the place of an `Affine` and, if need be, of what it reads."""
    source = net[node.inputs[0]]
    scale, shift = per_channel(net, node.scale, node, 1.0), per_channel(net, node.shift, node, 0.0)
    if scale is None or shift is None or source.shape != node.shape:
        return None
    alone = net.consumers[source.name] == (node,) and source.name not in net.outputs
    weighted = isinstance(source, Conv) or (isinstance(source, Linear) and source.axis == 1)
    if isinstance(source, Conv | Linear) and weighted and alone:
        weight = net.arrays[source.weight].astype(np.float64)
        bias = 0.0 if source.bias is None else net.arrays[source.bias].astype(np.float64)
        merged = source
    elif len(node.shape) == 2 and node.shift is not None:
        weight, bias = np.eye(node.shape[1]), 0.0
        merged = Linear(name="", inputs=(source.name,), shape=node.shape, batch=node.batch, weight="", axis=1)
    else:
        return None
    names = {"weight": f"{node.name}/weight with constants", "bias": f"{node.name}/bias with constants"}
    new = msgspec.structs.replace(merged, name=node.name, inputs=merged.inputs, **names)
    rows = scale.reshape(-1, *[1] * (weight.ndim - 1))
    arrays = {names["weight"]: weight * rows, names["bias"]: bias * scale + shift}
    return net.replaced([new], {name: array.astype(np.float32) for name, array in arrays.items()})
