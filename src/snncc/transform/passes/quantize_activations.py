# SPDX-License-Identifier: Apache-2.0
"""The pass `quantize_activations`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from snncc.calibrate.threshold_error import Search, best_factors
from snncc.errors import RecipeError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Clip, LeakyRelu, Node, QuantizedRelu, Relu
from snncc.transform.base import Context, Fidelity, Granularity, transform

#: Steps are searched for between the largest activation / levels and this part of it.
SMALLEST = 0.03
POINTS = 48


@transform(fidelity=Fidelity.EMPIRICAL, needs={"quantized", "clips"}, gives={"all quantized"})
def quantize_activations(
    net: Network,
    ctx: Context,
    *,
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)] = 4,
    granularity: Granularity = "layer",
) -> Network:
    """Quantise every ReLU that the file does not quantise, without labels: the step of least squared error.

        y = step clip(floor(x / step + 1/2), 0, 2^bits - 1)
        step = argmin_f E (a - y(a))^2,   step = f max(a) / (2^bits - 1)

    Options    bits; granularity = layer | channel | neuron; 48 f evenly spaced from 0.03 to 1
    Shapes     step: (1, ...), extent 1 where one value is shared
    Guarantee  measured; each node is noted. Nets trained so (`snncc finetune`) need fewer bits
    Refuses    activations that are negative somewhere (LeakyRelu, PRelu)
    Source     doi:10.3389/fnins.2022.918793 (the form), arXiv:2106.06984 (the search)
    """
    found = [n for n in net.nodes if isinstance(n, Relu | Clip | LeakyRelu) and n.name in net.varying]
    for node in found:
        if isinstance(node, LeakyRelu):
            raise RecipeError(
                f"quantize_activations: {node.name} is negative somewhere, the method knows ReLU only",
                cure="another method, or retrain with ReLU",
            )
    counts = 2**bits - 1
    wanted = {node.name: ctx.request(node.name, granularity) for node in found}
    summaries = ctx.statistics(wanted.values()) if wanted else {}
    levels = {name: np.maximum(summaries[request].max, 0) for name, request in wanted.items()}
    total = len(ctx.calibration)
    factors = (
        best_factors(
            ctx.values,
            ctx.calibration.batches(ctx.batch_size),
            {request: Search(level=levels[name], counts=counts) for name, request in wanted.items()},
            np.linspace(1.0, SMALLEST, POINTS).tolist(),
            progress=lambda done: ctx.progress("searching steps", done, total),
        )
        if wanted
        else {}
    )
    arrays: dict[str, Array] = {}
    new: dict[str, Node] = {}
    for node in found:
        step = ctx.shaped(factors[wanted[node.name]] * levels[node.name] / counts, node)
        step = np.where(step > 0, step, 1).astype(np.float32)  # never active: any step does
        names = f"{node.name}/step", f"{node.name}/offset"
        arrays[names[0]], arrays[names[1]] = step, step / np.float32(2)
        common = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
        new[node.name] = QuantizedRelu(
            **common,  # type: ignore[arg-type]
            step=names[0],
            offset=names[1],
            amplitude=names[0],
            levels=counts,
        )
        ctx.note("approximation", node.name, f"quantised after training to {bits} bits")
    return net.replaced(new.values(), arrays)
