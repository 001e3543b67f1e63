# SPDX-License-Identifier: Apache-2.0
"""The pass `select_multistage_neuron`."""

from __future__ import annotations

from typing import Any

from snncc.errors import RecipeError
from snncc.ir.network import Network
from snncc.ir.nodes import MsatIF
from snncc.neurons.random import stream_key
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.changing_thresholds import BESIDE, replaced_activations
from snncc.transform.passes.select_neuron import Burst


@transform(fidelity=Fidelity.EMPIRICAL, needs={"pooling", "functions"}, gives={"neurons", "multistage"})
def select_multistage_neuron(
    net: Network,
    ctx: Context,
    *,
    alpha: float = 0.3,
    k_a: float = 1.0,
    k_i: float = 1.0,
    c: float = 5.0,
    tau_mp: float = 0.5,
    tau_rd: float = 0.5,
    v_t: float = -1.0,
    dtt: bool = True,
    det: bool = True,
    burst: Burst = 1,
) -> Network:
    """Replace every activation by a neuron with the multi-stage adaptive threshold (MSAT).

        v += x / threshold;   th = 1 at the first step, then sigmoid(DTT + DET)
        DTT = tau_mp (alpha d + v_t + k_a ln(1 + exp(d / k_i))),   d = last residual - mean of the residuals
        DET = tau_rd exp(-x / (threshold c));   s = min(burst, floor(v / th));   v -= th s;   y = threshold th s

    Constants of the paper (alpha, k_a, k_i, c, tau_mp, tau_rd): VGG-16 0.03, 1, 1, 5, 1, 1; ResNet-20 0.3, 1, 1, 5,
    0.5, 0.5; ResNet-34 1, 1, 1, 5, 0.5, 0.5. v_t, which the paper calls a negative constant, is -1 in its code.

    Options    the constants; dtt, det switch a part off (both off: th = 1); burst
    Shapes     those of the activation
    Guarantee  measured
    Refuses    leaky activations; k_i or c = 0
    Source     https://github.com/BrainCog-X/Brain-Cog (examples, msat_conversion; He 2024)
    """
    if not k_i or not c:
        raise RecipeError("select_multistage_neuron: k_i and c divide, so they cannot be 0", cure="leave them out")
    ctx.note("information", net.outputs[0], f"changing threshold: {BESIDE}")
    constants: dict[str, Any] = {"alpha": alpha, "k_a": k_a, "k_i": k_i, "c": c, "tau_mp": tau_mp, "tau_rd": tau_rd}
    constants |= {"v_t": v_t, "dtt": dtt, "det": det, "burst": burst}
    return replaced_activations(
        net,
        "select_multistage_neuron",
        lambda common: MsatIF(**common, **constants, key=stream_key(ctx.seed, common["name"])),
    )
