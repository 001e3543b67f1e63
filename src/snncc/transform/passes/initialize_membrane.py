# SPDX-License-Identifier: Apache-2.0
"""The pass `initialize_membrane`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Neuron
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.thresholds import neurons


@transform(fidelity=Fidelity.EMPIRICAL, needs={"thresholds"}, gives={"membrane"})
def initialize_membrane(
    net: Network, ctx: Context, *, fraction: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
) -> Network:
    """Set the membrane potential before the first step.

        v_init = fraction * threshold

    One half minimises the expected squared error of counting for residuals that are uniform in [0, threshold).
    Multi-threshold neurons, which round to the nearest size, start at 0.

    Options    fraction, 0 <= fraction < 1
    Shapes     those of the thresholds
    Guarantee  measured
    Refuses    nothing
    Source     arXiv:2202.01440
    """
    arrays: dict[str, Array] = {}
    changed: list[Neuron] = []
    for node in neurons(net):
        if not node.CHARGED:
            continue
        arrays[f"{node.name}/v_init"] = net.arrays[node.threshold] * np.float32(fraction)
        changed.append(msgspec.structs.replace(node, v_init=f"{node.name}/v_init"))
    return net.replaced(changed, arrays)
