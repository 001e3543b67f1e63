# SPDX-License-Identifier: Apache-2.0
"""What stands behind a weighted node and scales or shifts its channels becomes part of its weights and bias."""

from __future__ import annotations

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Conv, Linear, Node
from snncc.transform.rescale import collapsed


def per_channel(net: Network, affine: Affine, axis: int) -> tuple[Array, Array] | None:
    """Gain and shift of each channel, (channels,); None where they differ between positions."""
    found = []
    for name, missing in ((affine.scale, 1.0), (affine.shift, 0.0)):
        array = np.array(missing) if name is None else net.arrays[name].astype(np.float64)
        kept = collapsed(np.broadcast_to(array, affine.shape))
        if any(extent > 1 for i, extent in enumerate(kept.shape) if i != axis):
            return None
        found.append(np.broadcast_to(kept.ravel(), (affine.shape[axis],)))
    return found[0], found[1]


def fold_affines(net: Network) -> Network:
    """The network without the `Affine` nodes that alone read a convolution or a linear layer, chains of them too.

    W'[o] = gain[o] W[o], b'[o] = gain[o] b[o] + shift[o]; the weighted node takes the name of what it now computes.
    """
    arrays: dict[str, Array] = {}
    folded: dict[str, Node | None] = {}
    for affine in net.nodes:
        if not isinstance(affine, Affine) or affine.name not in net.varying:
            continue
        read = affine.inputs[0]
        source = folded.get(read) or net[read]
        if not isinstance(source, Conv | Linear) or len(net.consumers[source.name]) > 1 or source.name in net.outputs:
            continue
        if source.shape != affine.shape:
            continue
        found = per_channel(net, affine, source.axis if isinstance(source, Linear) else 1)
        if found is None:
            continue
        gain, shift = found
        known = {**net.arrays, **arrays}
        weight = known[source.weight].astype(np.float64)
        bias = 0.0 if source.bias is None else known[source.bias].astype(np.float64)
        names = {"weight": f"{affine.name}/weight", "bias": f"{affine.name}/bias"}
        arrays[names["weight"]] = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
        arrays[names["bias"]] = gain * bias + shift
        folded[source.name] = None
        folded[affine.name] = msgspec.structs.replace(source, name=affine.name, **names)
    return net.rewrite(lambda node: [] if (new := folded.get(node.name, node)) is None else new, arrays)
