# SPDX-License-Identifier: Apache-2.0
"""Inputs given as spikes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Encoder, Node
from snncc.neurons.random import stream_key
from snncc.transform.base import Context


def encoded(net: Network, ctx: Context, kind: Literal["poisson", "uniform"], percentile: float, **more: Any) -> Network:
    """An encoder behind every input that carries rates, scaled to its magnitude."""
    inputs = [node.name for node in net.inputs if node.name in net.varying]
    scales = ctx.levels({name: name for name in inputs}, percentile, "layer", absolute=inputs)
    spikes = {name: f"{name}.spikes" for name in inputs}
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node | list[Node]:
        if node.name not in spikes:
            renamed = tuple(spikes.get(name, name) for name in node.inputs)
            return node if renamed == node.inputs else msgspec.structs.replace(node, inputs=renamed)
        name = spikes[node.name]
        ctx.note("approximation", node.name, f"given as {kind} spikes; magnitudes above {percentile:g} % saturate")
        arrays[f"{name}/scale"] = np.asarray(scales[node.name].max(), np.float32)
        fields: dict[str, Any] = {"name": name, "inputs": (node.name,), "shape": node.shape, "batch": node.batch}
        return [node, Encoder(**fields, kind=kind, scale=f"{name}/scale", key=stream_key(ctx.seed, name), **more)]

    return net.rewrite(change, arrays, outputs=tuple(spikes.get(name, name) for name in net.outputs))
