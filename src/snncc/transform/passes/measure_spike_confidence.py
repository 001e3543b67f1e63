# SPDX-License-Identifier: Apache-2.0
"""The pass `measure_spike_confidence`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import MsatIF, Node
from snncc.transform.base import Context, Fidelity, transform


@transform(
    fidelity=Fidelity.EMPIRICAL,
    needs={"multistage", "thresholds", "membrane"},
    gives={"confidence"},
    uses_timesteps=True,
)
def measure_spike_confidence(
    net: Network,
    ctx: Context,
    *,
    layers: Literal["last", "all"] = "last",
    samples: Annotated[int, msgspec.Meta(ge=1)] = 128,
    steps: Annotated[int, msgspec.Meta(ge=0)] = 16,
) -> Network:
    """Measure how often silent neurons spike, and keep spikes of the first steps with the opposite probability.

        p = 1 - |{neurons with a spike in T steps and a negative ANN pre-activation}| / |neurons|

    T is the design T; a spike at t < `steps` is kept with probability p, one that is dropped keeps its charge. All
    layers are measured on one run without confidence and their ratios noted.

    Options    layers = last | all get their p; samples of the calibration data; steps
    Shapes     p: one number per layer
    Guarantee  measured
    Refuses    nothing
    Source     https://github.com/BrainCog-X/Brain-Cog (examples, msat_conversion; He 2024)
    """
    nodes = [node for node in net.nodes if isinstance(node, MsatIF)]
    used = ctx.calibration.head(samples)
    batch, piece = plan(net, ctx.timesteps, len(used))
    engine, wrong, total = Engine(net), dict.fromkeys([n.name for n in nodes], 0), len(used)
    done = 0
    for feeds in used.batches(1 if ctx.values.one_at_a_time else batch):
        spiked: dict[str, np.ndarray] = {}

        def see(node: Node, series: object, spiked: dict[str, np.ndarray] = spiked) -> None:
            found = (series != 0).any(0).cpu().numpy()  # type: ignore[attr-defined]
            spiked[node.name] = spiked.get(node.name, False) | found

        engine.run(feeds, ctx.timesteps, steps_at_once=piece, observe=see, count=False)
        potentials = ctx.values.run(feeds, [node.inputs[0] for node in nodes])
        for node in nodes:
            negative = potentials[node.inputs[0]].reshape(spiked[node.name].shape) < 0
            wrong[node.name] += int(np.count_nonzero(spiked[node.name] & negative))
        done += ctx.values.count(feeds)
        ctx.progress("measuring spike confidence", done, total)
    changed = []
    for node in nodes:
        ratio = wrong[node.name] / (total * int(np.prod(node.shape)))
        ctx.note("information", node.name, f"spikes of inactivated neurons (SIN): {ratio:.4f} of the neurons")
        if layers == "all" or node is nodes[-1]:
            changed.append(msgspec.structs.replace(node, confidence=1 - ratio, unsure=steps))
    return net.replaced(changed)
