# SPDX-License-Identifier: Apache-2.0
"""Neurons and encoders over a piece of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from snncc.execute.torch.fused_scan import fused_scan, fusible
from snncc.execute.torch.layout import spread
from snncc.ir.network import Network
from snncc.ir.nodes import Conv, ConvTranspose, Encoder, Linear, Neuron, Node, Sum
from snncc.neurons.encoder.scan import interval_series, poisson_series
from snncc.neurons.node import Place
from snncc.neurons.table import definition


def own(net: Network, node: Node) -> bool:
    """Whether a value is memory of its own that one node alone reads, which then may overwrite it."""
    fresh = isinstance(node, Conv | ConvTranspose | Linear) or (isinstance(node, Sum) and len(node.inputs) > 1)
    return fresh and len(net.consumers[node.name]) == 1 and node.name not in net.outputs


def scan(
    node: Neuron, steps: Tensor, arrays: Mapping[str, Tensor], state: Any, place: Place, *, keep: bool = False
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A neuron over the steps (T, ...), overwritten by the output unless `keep`; returns the output and the state."""
    if fusible(node, steps):
        return fused_scan(node, steps, arrays, state, place.first_step, keep=keep)
    if keep:  # a current that stays is spread and not cloned, which would forget the order of its axes in memory
        steps = steps.clone() if steps.stride(0) else spread(steps[0], None, torch.ones(len(steps)))
    own = [arrays[name] for name in node.array_names()]
    run = definition(node).scan
    out, after = run(steps, *own, **node.options(), **node.placed(place), state=state)
    return out, after


def resting(node: Node, arrays: Mapping[str, Tensor], steps: Tensor, first_step: int) -> Tensor | None:
    """What a neuron emits without spikes over the steps (T, ...), if anything, shaped to be subtracted."""
    if not isinstance(node, Neuron) or node.offset is None:
        return None
    flows = (torch.arange(first_step, first_step + len(steps), device=steps.device) < node.until).to(steps.dtype)
    per_step = flows.reshape(-1, *[1] * (steps.ndim - 1))
    found: Tensor = per_step * (arrays[node.offset] / max(1, node.until) * arrays[node.amplitude])
    return found


def counts(node: Neuron, series: Tensor, arrays: Mapping[str, Tensor], first_step: int) -> Tensor:
    """The signed spikes of a neuron's output (T, ...) in whole numbers; 0 where its amplitude is 0."""
    amplitude = arrays[node.amplitude]
    if (rest := resting(node, arrays, series, first_step)) is not None:
        series = series - rest
    return (series * torch.where(amplitude != 0, 1 / amplitude, 0)).round_()


def events(node: Node, series: Tensor, arrays: Mapping[str, Tensor], first_step: int) -> Tensor:
    """The events in a source's output (T, ...): without the constant that a centred neuron emits beside its spikes."""
    if not isinstance(node, Neuron) or node.offset is None:
        return series
    return counts(node, series, arrays, first_step).mul_(arrays[node.amplitude])


def encoded(node: Encoder, x: Tensor, arrays: Mapping[str, Tensor], divisors: Sequence[int], place: Place) -> Tensor:
    """The spikes of an input, (T, ...); `divisors`: D before the first step, then D of each step."""
    scale, at = arrays[node.scale], node.placed(place)
    if node.kind == "uniform":
        return interval_series(x, scale, [float(d) for d in divisors], phase=node.phase)
    return poisson_series(x, scale, [float(b - a) for a, b in pairwise(divisors)], key=node.key, **at)
