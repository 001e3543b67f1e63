# SPDX-License-Identifier: Apache-2.0
"""The pass `spike_functions`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from snncc.ir.classes import carried
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Conv, ConvTranspose, Differential, LeakyIF, Linear, MultiThreshold, Node, Operator
from snncc.transform.base import Context, Fidelity, Granularity, Percentile, transform

#: What reaches a weighted node or a product without being an event.
VALUES = frozenset({"analog", "graded", "input"})


def multiplies(node: Node) -> bool:
    """Whether a node is weighted or a product of matrices."""
    inner = node.function if isinstance(node, Differential) else node
    return isinstance(inner, Conv | ConvTranspose | Linear) or (isinstance(inner, Operator) and inner.op == "matmul")


@transform(fidelity=Fidelity.EMPIRICAL, needs={"thresholds"}, gives={"events"})
def spike_functions(
    net: Network,
    ctx: Context,
    *,
    where: Literal["none", "functions"] = "functions",
    kind: Literal["multi_threshold", "signed_if"] = "multi_threshold",
    sizes: Annotated[int, msgspec.Meta(ge=1, le=24)] = 8,
    granularity: Granularity = "layer",
    percentile: Percentile = 100.0,
    headroom: Annotated[float, msgspec.Meta(gt=0, le=16)] = 1.0,
) -> Network:
    """Put a two-sided neuron in front of every weighted node and product that gets no spikes.

        u += x;  u -= z threshold;  y = z threshold
        z = sign(u) 2^-i, the smallest i < sizes with |u| >= 3/4 threshold 2^-i, else 0      (multi_threshold)
        z = +1 where u >= threshold, -1 where u < 0                                         (signed_if)
        threshold = headroom percentile(|x|, p)

    The sources are functions on running means (Softmax, LayerNormalization, ...), the currents of other weighted nodes
    and the network's input. One neuron serves all weighted readers of a value; other readers get the value itself. The
    mean of what it emits is the mean of x to within half a threshold over T, once it has caught up. It comes after the
    passes that set thresholds and correct layers.

    Options    where = none (do nothing) | functions; kind; sizes of multi_threshold; granularity and percentile of the
               threshold; headroom, above 1 where values must catch up after a late start
    Shapes     threshold: (1, ...), extent 1 where one value is shared
    Guarantee  measured
    Refuses    nothing
    Source     arXiv:2502.21193 (multi-threshold neurons behind functions)
    """
    if where == "none":
        return net
    kinds = carried(net)
    sources = {
        name: name for node in net.nodes if multiplies(node) and node.name in net.varying for name in node.inputs
    }
    sources = {name: name for name in sources if kinds[name] & VALUES and name in ctx.ann.by_name}
    levels = ctx.levels(sources, percentile, granularity, absolute=sources)
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node | list[Node]:
        if multiplies(node):
            inputs = tuple(f"{name}.spikes" if name in sources else name for name in node.inputs)
            node = msgspec.structs.replace(node, inputs=inputs)
        if node.name not in sources:
            return node
        ctx.note("information", node.name, f"{kind} neurons put behind it, so that weighted nodes get events")
        threshold = (headroom * levels[node.name]).astype(np.float32)
        return [node, two_sided_neuron(node, threshold, arrays, kind, sizes)]

    return net.rewrite(change, arrays) if sources else net


def two_sided_neuron(source: Node, threshold: Array, arrays: dict[str, Array], kind: str, sizes: int) -> Node:
    """The neuron behind a value; its arrays are added to `arrays`."""
    name = f"{source.name}.spikes"
    fields: dict[str, Any] = {"name": name, "inputs": (source.name,), "shape": source.shape, "batch": source.batch}
    fields |= {field: f"{name}/{field}" for field in ("threshold", "amplitude", "v_init")}
    arrays[f"{name}/threshold"] = arrays[f"{name}/amplitude"] = threshold
    if kind == "multi_threshold":
        arrays[f"{name}/v_init"] = np.zeros((), np.float32)
        return MultiThreshold(**fields, sizes=sizes)
    arrays[f"{name}/v_init"], arrays[f"{name}/slope"] = threshold / 2, np.ones((), np.float32)
    return LeakyIF(**fields, slope=f"{name}/slope", negative="early")
