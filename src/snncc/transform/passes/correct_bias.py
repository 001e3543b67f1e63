# SPDX-License-Identifier: Apache-2.0
"""The pass `correct_bias`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.passes.match_currents import match_currents


@transform(fidelity=Fidelity.EMPIRICAL, needs={"thresholds", "membrane"}, gives={"corrected"}, uses_timesteps=True)
def correct_bias(
    net: Network,
    ctx: Context,
    *,
    rounds: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1,
    samples: Annotated[int, msgspec.Meta(ge=1)] = 256,
) -> Network:
    """Correct biases layer by layer, in topological order, every earlier layer already spiking and corrected.

        b_c += E[a - mean_t y(t)] per channel, `rounds` times

    a is the ANN's activation, y the neuron's output over the design T. It is `match_currents` without its least
    squares. The shift goes into the bias of the layer before where that feeds this neuron alone, else into a node of
    its own.

    Options    rounds; samples, the first of the calibration data
    Shapes     those of the biases
    Guarantee  measured
    Refuses    nothing
    Source     arXiv:2106.06984 (light calibration)
    """
    return match_currents.function(net, ctx.with_samples(samples), weights=False, bias_rounds=rounds)
