# SPDX-License-Identifier: Apache-2.0
"""Setting the thresholds of a network's neurons."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from snncc.calibrate.statistics import Request
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Clip, Neuron
from snncc.transform.base import Context, Granularity


def neurons(net: Network) -> list[Neuron]:
    """The neurons of a network."""
    return [node for node in net.nodes if isinstance(node, Neuron)]


def activation_requests(net: Network, ctx: Context, granularity: Granularity) -> dict[str, Request]:
    """For each neuron the request for its ANN activation; for a two-sided one for its pre-activation's magnitude."""
    two_sided = {node.name for node in neurons(net) if node.TWO_SIDED}
    sources = {node.name: node.inputs[0] if node.name in two_sided else node.name for node in neurons(net)}
    return {name: ctx.request(value, granularity, absolute=name in two_sided) for name, value in sources.items()}


def capped(level: Array, ctx: Context, name: str) -> Array:
    """A neuron's level, at most where the ANN's activation saturates."""
    original = ctx.ann.by_name.get(name)
    return np.minimum(level, original.high) if isinstance(original, Clip) and original.high is not None else level


def with_thresholds(net: Network, ctx: Context, levels: Mapping[str, Array]) -> Network:
    """The network whose neurons have threshold = amplitude = level / (spikes in one step), capped where Clip is."""
    arrays: dict[str, Array] = {}
    changed: list[Neuron] = []
    for node in neurons(net):
        level = capped(levels[node.name], ctx, node.name)
        threshold = np.maximum(level, 0).astype(np.float32) / np.float32(node.resolution)
        if dead := int(np.count_nonzero(threshold == 0)):
            ctx.note("information", node.name, f"{dead} of {threshold.size} thresholds are 0: never active, never fire")
        name = f"{node.name}/threshold"
        arrays[name] = threshold
        changed.append(msgspec.structs.replace(node, threshold=name, amplitude=name))
    return net.replaced(changed, arrays)
