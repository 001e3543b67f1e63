# SPDX-License-Identifier: Apache-2.0
"""The pass `encode_uniform`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, Percentile, transform
from snncc.transform.encoders import encoded


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"encoding"})
def encode_uniform(
    net: Network,
    ctx: Context,
    *,
    percentile: Percentile = 100.0,
    phase: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5,
) -> Network:
    """Give the input as spikes at fixed intervals instead of as a constant current.

        y[t] = scale sign(x) (floor(t p + phase) - floor((t-1) p + phase)),   p = |x| / scale, at most 1

    The sum of y up to t is t x to within one spike (half a spike for phase = 1/2).

    Options    percentile of the input's magnitude over the calibration samples; phase
    Shapes     those of the input
    Guarantee  measured
    Refuses    nothing
    Source     doi:10.1109/IJCNN.2015.7280696 (rates), with even intervals
    """
    return encoded(net, ctx, "uniform", percentile, phase=phase)
