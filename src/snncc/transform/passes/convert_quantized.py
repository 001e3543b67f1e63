# SPDX-License-Identifier: Apache-2.0
"""The pass `convert_quantized`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from snncc.errors import RecipeError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Clip, LeakyRelu, Node, QuantizedRelu, Relu, SignedIF
from snncc.ir.schedule import Schedule
from snncc.transform.base import Context, Fidelity, transform


def input_steps(net: Network) -> int:
    """2^b - 1 of the hidden layers: their largest number of levels (1 where none has an upper end)."""
    found = [n.levels for n in net.nodes if isinstance(n, QuantizedRelu) and n.levels and n.name not in net.outputs]
    return max(found, default=1)


@transform(
    fidelity=Fidelity.EMPIRICAL,
    needs={"pooling", "functions", "quantized"},
    gives={"neurons", "thresholds", "membrane"},
    settles=True,
)
def convert_quantized(
    net: Network,
    ctx: Context,
    *,
    steps: Annotated[int, msgspec.Meta(ge=1, le=65536)] | None = None,
    negative: Literal["early", "at_zero"] = "early",
) -> Network:
    """Replace every quantised ReLU by a signed neuron that ends on exactly its level, and switch the input off in time.

        threshold = T_in step,   v_init = T_in offset,   amplitude = T_in amplitude,   cap = levels
        z = +1 where u >= threshold and n < cap;   z = -1 where u < 0 and n > 0

    Input and biases are on for T_in steps, the same for the whole net, and off afterwards. The charge that a neuron
    then holds is T_in x, and its count moves to clip(floor((v_init + T_in x) / threshold), 0, cap), the level of the
    quantised ReLU, whatever the order of the spikes was (`snncc convert` certifies it on data). With T_in = 1 a
    neuron that the input feeds is Zou's scatter-and-gather encoder: it fires at step t while x >= theta + t step.

    Options    steps = T_in; by default the largest number of levels of the hidden layers (2^b - 1), 1 where they
               have no upper end; negative = at_zero: negative spikes at u <= 0 too, as algorithm 1 of QFFS prints it:
               a neuron that comes to rest at u = 0 fires for ever, and nothing is certified
    Shapes     those of the quantised ReLU
    Guarantee  exact once the spikes have settled (early)
    Refuses    activations that are not quantised
    Source     doi:10.3389/fnins.2022.918793; doi:10.3389/fnins.2024.1449020
    """
    duration = steps or input_steps(net)
    if negative == "at_zero":
        ctx.note("approximation", net.outputs[0], "negative spikes at u <= 0: neurons on a tie never settle")
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node:
        if node.name in net.varying and isinstance(node, Relu | Clip | LeakyRelu):
            raise RecipeError(
                f"convert_quantized: the activation {node.name} is not quantised",
                cure="train it so with `snncc finetune`, or put quantize_activations before this pass (method qffs)",
            )
        if not isinstance(node, QuantizedRelu):
            return node
        parts = {"threshold": node.step, "v_init": node.offset, "amplitude": node.amplitude}
        names: dict[str, Any] = {key: f"{node.name}/{key}" for key in parts}
        for key, source in parts.items():
            arrays[names[key]] = (net.arrays[source].astype(np.float64) * duration).astype(np.float32)
        common: dict[str, Any] = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
        return SignedIF(**common, **names, negative=negative, cap=node.levels)

    schedule = Schedule(kind="once") if duration == 1 else Schedule(kind="window", steps=duration)
    return net.rewrite(change, arrays, stage="snn", schedule=schedule)
