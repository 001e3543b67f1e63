# SPDX-License-Identifier: Apache-2.0
"""The pass `absorb_amplitudes`."""

from __future__ import annotations

from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.rescale import Rescaling


def with_unit_spikes(net: Network) -> Network:
    """The network whose neurons emit whole numbers; raises EmitError where weights cannot take the amplitudes."""
    rescaling = Rescaling(net=net)
    rescaling.run()
    return rescaling.network()


@transform(fidelity=Fidelity.EXACT, needs={"neurons", "thresholds"}, gives={"unit spikes"})
def absorb_amplitudes(net: Network, ctx: Context) -> Network:
    """Let every neuron emit 1 (or -1, or several at once); the weights that read it absorb the value of its spikes.

        W'[o, i] = W[o, i] amplitude[i]

    Reshapes, pools and concatenations pass the amplitudes on; a Sum of values with different ones multiplies each
    branch by its own. Targets whose spikes are bits need it (integer, NIR).

    Shapes     one amplitude per layer or per channel; per neuron where a fully connected layer reads it
    Guarantee  exact: the same spikes but for rounding of the weights
    Refuses    an amplitude per neuron through a convolution or a pool, whose weights all positions share; neurons whose
               events carry other values than one amplitude (leaky, adaptive, multi-stage, multi-threshold)
    Source     doi:10.3389/fnins.2017.00682 (weight normalisation)
    """
    return with_unit_spikes(net)
