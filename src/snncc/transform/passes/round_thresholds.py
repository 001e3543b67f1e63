# SPDX-License-Identifier: Apache-2.0
"""The pass `round_thresholds`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from snncc.errors import RecipeError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Conv, ConvTranspose, Differential, Linear, MaxPool, Node, Pad, Reshape, SignedIF, Transpose
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.passes.fold_batchnorm import Weighted

ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def source_amplitude(net: Network, name: str) -> float | None:
    """The one amplitude of the spikes that a value carries; None where it is not made of spikes alone."""
    node = net[name]
    pool = isinstance(node, Differential) and isinstance(node.function, MaxPool)
    if pool or isinstance(node, Reshape | Transpose) or (isinstance(node, Pad) and node.value == 0):
        return source_amplitude(net, node.inputs[0])
    if not isinstance(node, SignedIF):
        return None
    amplitude = np.unique(net.arrays[node.amplitude].astype(np.float64))
    return float(amplitude[0]) if amplitude.size == 1 else None


def unit_charge(net: Network, weighted: Node, *, real_weights: bool) -> float | None:
    """The charge of which every synaptic event is a multiple; None where the weights are no multiples of one.

    With `real_weights` that of a weight of 1 then.
    """
    if not isinstance(weighted, Conv | ConvTranspose | Linear) or weighted.bias is not None:
        return None
    amplitude, weights = source_amplitude(net, weighted.inputs[0]), np.unique(np.abs(net.arrays[weighted.weight]))
    weights = weights[weights > 0].astype(np.float64)
    if amplitude is None or not weights.size:
        return None
    if not np.allclose(weights / weights[0] % 1, 0):
        return amplitude if real_weights else None
    return amplitude * float(weights[0])


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons", "thresholds", "membrane"}, gives={"integer thresholds"})
def round_thresholds(
    net: Network,
    ctx: Context,
    *,
    scale: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000,
    rounding: Literal["round", "floor", "ceil"] = "round",
    real_weights: bool = False,
) -> Network:
    """Make thresholds and potentials integers where the synaptic charges are integer multiples of one unit.

        threshold' = R(scale threshold / unit),   theta0' = R(scale (threshold - v_init) / unit)
        v_init' = threshold' - theta0',   w' = scale w / unit

    Every charge is then a multiple of `scale` and the potential an integer. The unit is the amplitude of the spikes
    times the smallest weight: ternary weights, spikes of one amplitude and no bias make such a layer. The layer that
    the input feeds and the read-out stay as they are (noted).

    Options    scale; rounding R = round | floor | ceil; real_weights = true rounds the thresholds behind real weights
               too, in units of a weight of 1 (the paper's comparison; potentials are no integers then)
    Shapes     those of the thresholds
    Guarantee  measured; the certificate counts the levels that rounding moved
    Refuses    a network without any such layer; max pooling passes spikes on, sums and averages do not
    Source     doi:10.3389/fnins.2024.1449020 (equation 10)
    """
    to_integer = ROUNDINGS[rounding]
    nodes: list[Node] = []
    arrays: dict[str, Array] = {}
    for node in net.nodes:
        if not isinstance(node, SignedIF):
            continue
        weighted = net[node.inputs[0]]
        unit = unit_charge(net, weighted, real_weights=real_weights)
        if unit is None or len(net.consumers[weighted.name]) > 1 or not isinstance(weighted, Weighted):
            ctx.note("information", node.name, "thresholds stay real: its charges are no multiples of one unit")
            continue
        factor = scale / unit
        threshold, v_init = (net.arrays[name].astype(np.float64) * factor for name in (node.threshold, node.v_init))
        whole = np.maximum(to_integer(threshold), 1)
        arrays[f"{node.name}/threshold"] = whole.astype(np.float32)
        arrays[f"{node.name}/v_init"] = (whole - to_integer(threshold - v_init)).astype(np.float32)
        arrays[f"{weighted.name}/weight"] = (net.arrays[weighted.weight] * factor).astype(np.float32)
        names: dict[str, Any] = {"threshold": f"{node.name}/threshold", "v_init": f"{node.name}/v_init"}
        nodes.append(msgspec.structs.replace(node, **names))
        nodes.append(msgspec.structs.replace(weighted, weight=f"{weighted.name}/weight"))
    if not nodes:
        raise RecipeError(
            "round_thresholds: no layer has ternary weights, spikes of one amplitude and no bias",
            cure="train with `snncc finetune --method zou`, or leave the pass out",
        )
    return net.replaced(nodes, arrays)
