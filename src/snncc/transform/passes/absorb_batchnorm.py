# SPDX-License-Identifier: Apache-2.0
"""The pass `absorb_batchnorm`."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import BatchNorm, Conv, ConvTranspose, Linear, Node, QuantizedRelu
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.passes.fold_batchnorm import Weighted, per_output


def absorbable(net: Network, node: QuantizedRelu) -> tuple[Weighted, BatchNorm] | None:
    """The weighted node and the BatchNormalization before a quantised ReLU, where nothing else reads them."""
    norm = net[node.inputs[0]]
    if not isinstance(norm, BatchNorm):
        return None
    weighted = net[norm.inputs[0]]
    if not isinstance(weighted, Conv | ConvTranspose | Linear) or (isinstance(weighted, Linear) and weighted.axis != 1):
        return None
    alone = all(len(net.consumers[n.name]) == 1 and n.name not in net.outputs for n in (norm, weighted))
    return (weighted, norm) if alone else None


@transform(fidelity=Fidelity.EXACT, needs={"quantized"}, gives={"absorbed"})
def absorb_batchnorm(net: Network, ctx: Context) -> Network:
    """Absorb each BatchNormalization before a quantised ReLU into its steps and offset; the weights stay as they are.

        step' = step s,   offset' = (beta + offset) s - mean + bias,   s = sqrt(variance + epsilon) / |gamma|

    so that (x' + offset') / step' = (BN(x') + offset) / step for the weighted sum x'. Where gamma < 0 the weights,
    mean and bias of the channel change their sign with gamma. Where gamma = 0 its weights become 0 and
    offset' = beta + offset: a constant.

    Shapes     gamma, beta, mean, variance: (channels,); step', offset': (1, channels, 1, ...)
    Guarantee  exact
    Refuses    nothing: a BatchNormalization that stands elsewhere is left to `fold_batchnorm`
    Source     doi:10.3389/fnins.2024.1449020
    """
    nodes: dict[str, Node] = {}
    arrays: dict[str, Array] = {}
    gone: set[str] = set()
    for node in net.nodes:
        if not isinstance(node, QuantizedRelu) or (found := absorbable(net, node)) is None:
            continue
        weighted, norm = found
        gamma, beta, mean, variance = (net.arrays[name].astype(np.float64) for name in norm.array_names())
        bias = 0.0 if weighted.bias is None else net.arrays[weighted.bias].astype(np.float64)
        live, sign = gamma != 0, np.sign(gamma)
        s = np.divide(np.sqrt(variance + norm.epsilon), np.abs(gamma), out=np.ones_like(gamma), where=live)
        column = (1, -1, *[1] * (len(norm.shape) - 2))
        step, offset = (net.arrays[name].astype(np.float64) for name in (node.step, node.offset))
        here, names = f"{norm.name}/", {key: f"{node.name}/absorbed_{key}" for key in ("step", "offset")}
        arrays[f"{here}weight"] = per_output(net.arrays[weighted.weight], sign.astype(np.float32), weighted)
        arrays[names["step"]] = (step * s.reshape(column)).astype(np.float32)
        moved = (beta.reshape(column) + offset) * s.reshape(column) + (sign * (bias - mean)).reshape(column)
        arrays[names["offset"]] = moved.astype(np.float32)
        fields: dict[str, Any] = {f: getattr(weighted, f) for f in type(weighted).__struct_fields__}
        # The value is no longer that of the file (its sign, no bias), so it gets a name of its own.
        fields |= {"name": f"{norm.name}.current", "weight": f"{here}weight", "bias": None}
        nodes[weighted.name] = type(weighted)(**fields)
        nodes[node.name] = msgspec.structs.replace(node, inputs=(fields["name"],), **names)
        if flipped := int((gamma < 0).sum()):
            ctx.note("information", norm.name, f"{flipped} of {gamma.size} channels have gamma < 0: signs flipped")
        if constant := int((~live).sum()):
            ctx.note("information", norm.name, f"{constant} of {gamma.size} channels have gamma = 0: constants")
        gone.add(norm.name)
    return net.rewrite(lambda n: [] if n.name in gone else nodes.get(n.name, n), arrays)
