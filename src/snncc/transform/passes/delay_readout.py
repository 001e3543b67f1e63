# SPDX-License-Identifier: Apache-2.0
"""The pass `delay_readout`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec

from snncc.errors import RecipeError
from snncc.ir.analysis import tail
from snncc.ir.network import Network
from snncc.ir.nodes import Differential
from snncc.transform.base import Context, Fidelity, transform


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"readout"})
def delay_readout(net: Network, ctx: Context, *, steps: Annotated[int, msgspec.Meta(ge=0)] = 0) -> Network:
    """Read the outputs from step `steps` + 1 on, when the first spikes have come through.

        y = (X(T) - X(steps)) / (T - steps),   X the running sum of the output; X(T) / T for T <= steps

    Options    steps; 0 reads from the start
    Shapes     those of the outputs
    Guarantee  measured
    Refuses    a schedule that ends; outputs behind functions on running means (a Softmax, say)
    Source     arXiv:2409.03368 (delayed evaluation)
    """
    if not steps:
        return net
    if net.schedule.limit is not None:
        raise RecipeError("delay_readout: the input stops, so late steps say nothing", cure="leave delay_readout out")
    if late := [net[name].name for name in sorted(tail(net)) if isinstance(net[name], Differential)]:
        raise RecipeError(
            f"delay_readout: {late[0]} is computed on the mean of all steps",
            cure="leave delay_readout out, or export the model with its logits as output",
        )
    return replace(net, schedule=msgspec.structs.replace(net.schedule, readout_after=steps))
