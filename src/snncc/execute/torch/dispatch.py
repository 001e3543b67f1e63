# SPDX-License-Identifier: Apache-2.0
"""Which scan of `torch_neurons` or `torch_rules` a node means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from snncc.execute.torch import neurons as torch_neurons
from snncc.execute.torch import rules as torch_rules
from snncc.execute.torch.fused_scan import fused_scan, fusible
from snncc.execute.torch.layout import spread
from snncc.ir.network import Network
from snncc.ir.nodes import (
    IF,
    AdaptiveIF,
    CentredIF,
    Conv,
    ConvTranspose,
    Encoder,
    LeakyIF,
    Linear,
    MsatIF,
    MultiThreshold,
    Neuron,
    Node,
    SignedIF,
    Sum,
)

#: Fields of `MsatIF` that its scan takes by the same name.
MSAT = (
    "alpha",
    "k_a",
    "k_i",
    "c",
    "tau_mp",
    "tau_rd",
    "v_t",
    "dtt",
    "det",
    "burst",
    "confidence",
    "unsure",
    "key",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a piece of a simulation lies: its samples, the number of the first one, and the steps before it."""

    samples: int
    first_sample: int = 0
    first_step: int = 0


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
    threshold, amplitude, v_init = arrays[node.threshold], arrays[node.amplitude], arrays[node.v_init]
    samples, axis = place.samples if node.batch is not None else 1, node.batch or 0
    match node:
        case IF():
            return torch_neurons.if_scan(
                steps, threshold, amplitude, v_init, reset=node.reset, burst=node.burst, state=state
            )
        case SignedIF():
            return torch_neurons.signed_if_scan(
                steps,
                threshold,
                amplitude,
                v_init,
                negative=node.negative,
                cap=node.cap,
                levels=node.levels,
                state=state,
            )
        case CentredIF():
            return torch_neurons.centred_if_scan(
                steps,
                threshold,
                amplitude,
                v_init,
                arrays[node.centre],
                until=node.until,
                levels=node.levels,
                first_step=place.first_step,
                state=state,
            )
        case LeakyIF():
            return torch_neurons.leaky_if_scan(
                steps,
                threshold,
                amplitude,
                v_init,
                arrays[node.slope],
                negative=node.negative,
                levels=node.levels,
                state=state,
            )
        case MultiThreshold():
            return torch_neurons.multi_threshold_scan(
                steps, threshold, amplitude, v_init, sizes=node.sizes, state=state
            )
        case AdaptiveIF():
            return torch_rules.adaptive_if_scan(
                steps,
                threshold,
                amplitude,
                v_init,
                eta=node.eta,
                rule=node.rule,
                adapt=node.adapt,
                subtract=node.subtract,
                samples=samples if node.scope == "sample" else 1,
                axis=axis,
                state=state,
            )
        case MsatIF():
            options: dict[str, Any] = {name: getattr(node, name) for name in MSAT}
            return torch_rules.msat_scan(
                steps,
                threshold,
                amplitude,
                v_init,
                **options,
                samples=samples,
                axis=axis,
                first_sample=place.first_sample,
                first_step=place.first_step,
                state=state,
            )
    raise TypeError(type(node).__name__)


def resting(node: CentredIF, arrays: Mapping[str, Tensor], steps: Tensor, first_step: int) -> Tensor:
    """What a centred neuron emits without spikes over the steps (T, ...), shaped to be subtracted from its output."""
    flows = (torch.arange(first_step, first_step + len(steps), device=steps.device) < node.until).to(steps.dtype)
    per_step = flows.reshape(-1, *[1] * (steps.ndim - 1))
    found: Tensor = per_step * (arrays[node.centre] / max(1, node.until) * arrays[node.amplitude])
    return found


def counts(node: Neuron, series: Tensor, arrays: Mapping[str, Tensor], first_step: int) -> Tensor:
    """The signed spikes of a neuron's output (T, ...) in whole numbers; 0 where its amplitude is 0."""
    amplitude = arrays[node.amplitude]
    if isinstance(node, CentredIF):
        series = series - resting(node, arrays, series, first_step)
    return (series * torch.where(amplitude != 0, 1 / amplitude, 0)).round_()


def events(node: Node, series: Tensor, arrays: Mapping[str, Tensor], first_step: int) -> Tensor:
    """The events in a source's output (T, ...): without the constant that a centred neuron emits beside its spikes."""
    if not isinstance(node, CentredIF):
        return series
    return counts(node, series, arrays, first_step).mul_(arrays[node.amplitude])


def encoded(node: Encoder, x: Tensor, arrays: Mapping[str, Tensor], divisors: Sequence[int], place: Place) -> Tensor:
    """The spikes of an input, (T, ...); `divisors`: D before the first step, then D of each step."""
    scale = arrays[node.scale]
    if node.kind == "uniform":
        return torch_rules.interval_series(x, scale, [float(d) for d in divisors], phase=node.phase)
    return torch_rules.poisson_series(
        x,
        scale,
        [float(b - a) for a, b in pairwise(divisors)],
        key=node.key,
        samples=place.samples if node.batch is not None else 1,
        axis=node.batch or 0,
        first_sample=place.first_sample,
        first_step=place.first_step,
    )
