# SPDX-License-Identifier: Apache-2.0
"""The pass `encode_poisson`."""

from __future__ import annotations

from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, Percentile, transform
from snncc.transform.encoders import encoded


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"encoding"})
def encode_poisson(net: Network, ctx: Context, *, percentile: Percentile = 100.0) -> Network:
    """Give the input as random spikes instead of as a constant current.

        y[t] = scale sign(x) [r < |x| / scale],   r uniform in [0, 1),   scale = percentile(|x|)

    The mean of y is x for |x| <= scale, with a deviation that falls as 1 / sqrt(T). The random numbers depend on the
    seed, the sample, the entry and the step alone.

    Options    percentile of the input's magnitude over the calibration samples
    Shapes     those of the input
    Guarantee  measured
    Refuses    nothing
    Source     doi:10.1109/IJCNN.2015.7280696
    """
    return encoded(net, ctx, "poisson", percentile)
