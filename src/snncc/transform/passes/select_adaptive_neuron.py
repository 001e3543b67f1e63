# SPDX-License-Identifier: Apache-2.0
"""The passes `select_adaptive_neuron` and `select_multistage_neuron`: neurons whose threshold changes with time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from snncc.errors import RecipeError
from snncc.ir.network import Network
from snncc.ir.nodes import ACTIVATIONS, AdaptiveIF, Clip, MsatIF, Node, Relu
from snncc.neurons.random import stream_key
from snncc.transform.base import Context, Fidelity, transform
from snncc.transform.passes.select_neuron import Burst

BESIDE = "report it beside a constant threshold (method rmp) and a half-threshold start (method opi)"


def replaced_activations(net: Network, name: str, make: Callable[[dict[str, Any]], Node]) -> Network:
    """Every activation replaced by a neuron with threshold 1; refuses activations that emit negative values."""

    def change(node: Node) -> Node:
        if not isinstance(node, ACTIVATIONS) or node.name not in net.varying:
            return node
        if not isinstance(node, Relu | Clip):
            raise RecipeError(
                f"{name}: {node.name} is a {type(node).__name__}, which has no form with a changing threshold",
                cure="convert with select_neuron (methods matched, dnisnm), or retrain with ReLU",
            )
        common = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
        return make({**common, "threshold": "unit", "amplitude": "unit", "v_init": "zero"})

    return net.rewrite(change, {"unit": np.ones((), np.float32), "zero": np.zeros((), np.float32)}, stage="snn")


@transform(fidelity=Fidelity.EMPIRICAL, needs={"pooling", "functions"}, gives={"neurons"})
def select_adaptive_neuron(
    net: Network,
    ctx: Context,
    *,
    eta: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7,
    adapt: bool = True,
    rule: Literal["running_max", "alg2"] = "running_max",
    subtract: Literal["vmax", "vcur", "graded"] = "vmax",
    scope: Literal["sample", "batch"] = "sample",
) -> Network:
    """Replace every activation by a neuron that fires at c threshold, c following the layer's largest current.

        m = max_i x_i / threshold_i;   c = eta at the start, then min(1, max(c, m))
        u += x;   s = [u >= c threshold];   u -= s threshold;   y = s threshold

    Fires early and subtracts the full quantum, so that the charge stays exact (subtract = vmax). `vcur` subtracts
    c threshold and still emits threshold, as the paper's text has it; this scales each layer's gain by 1 / c.
    `graded` subtracts and emits c threshold.

    Options    eta; adapt = false keeps c = eta; rule = running_max | alg2 (c = m where eta < m < 1, as algorithm 2
               prints it); subtract = vmax | vcur | graded; scope = sample | batch (as the authors' code has it: the
               result then depends on what else is in the batch)
    Shapes     those of the activation; c: one number per sample
    Guarantee  measured
    Refuses    leaky activations
    Source     https://github.com/RPDS2020/Adaptively-adjusted-threshold-for-SCNN (Chen 2022)
    """
    ctx.note("information", net.outputs[0], f"adaptive threshold: {BESIDE}")
    return replaced_activations(
        net,
        "select_adaptive_neuron",
        lambda common: AdaptiveIF(**common, eta=eta, adapt=adapt, rule=rule, subtract=subtract, scope=scope),
    )


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
