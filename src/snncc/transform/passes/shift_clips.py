# SPDX-License-Identifier: Apache-2.0
"""The pass `shift_clips`."""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Clip, Node, Relu
from snncc.transform.base import Context, Fidelity, transform


@transform(fidelity=Fidelity.EXACT, gives={"clips"})
def shift_clips(net: Network, ctx: Context) -> Network:
    """Write every Clip with an offset as shifts around Clip(0, high - low) or Relu, which a neuron can follow.

        clip(x, low, high) = low + clip(x - low, 0, high - low);   min(x, high) = high - relu(high - x)

    Shapes     those of the clip
    Guarantee  exact
    Refuses    nothing
    Source     doi:10.3389/fnins.2017.00682
    """
    arrays: dict[str, Array] = {}

    def affine(node: Node, name: str, source: str, sign: float, shift: float) -> Affine:
        arrays[f"{name}/scale"], arrays[f"{name}/shift"] = np.asarray(sign, np.float32), np.asarray(shift, np.float32)
        return Affine(
            name=name,
            inputs=(source,),
            shape=node.shape,
            batch=node.batch,
            scale=f"{name}/scale" if sign != 1 else None,
            shift=f"{name}/shift",
        )

    def change(node: Node) -> Node | list[Node]:
        if not isinstance(node, Clip) or node.name not in net.varying or node.low == 0:
            return node
        if node.low is None and node.high is None:
            return affine(node, node.name, node.inputs[0], 1, 0)
        sign, base = (1.0, node.low) if node.low is not None else (-1.0, node.high or 0.0)
        before, spikes = f"{node.name}.shifted", f"{node.name}.clipped"
        middle: Node = Relu(name=spikes, inputs=(before,), shape=node.shape, batch=node.batch)
        if node.low is not None and node.high is not None:
            fields: dict[str, Any] = {"name": spikes, "inputs": (before,), "shape": node.shape, "batch": node.batch}
            middle = Clip(**fields, low=0.0, high=node.high - node.low)
        return [
            affine(node, before, node.inputs[0], sign, -sign * base),
            middle,
            affine(node, node.name, spikes, sign, base),
        ]

    return net.rewrite(change, arrays)
