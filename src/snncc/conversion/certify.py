# SPDX-License-Identifier: Apache-2.0
"""The lossless certificate: once the spikes have settled, every neuron's count equals the level of the quantised ANN.

A signed neuron (early negative spikes) whose input has ended moves its count to clip(floor((v_init + S) / threshold),
0, cap), S the charge that it received. So layer by layer the whole net ends in the ANN whose activations are
y = amplitude clip(floor((x + offset) / step), 0, levels). Here that is measured, neuron by neuron, in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snncc.conversion.verify import rows
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.session import Session
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron, Node, QuantizedRelu
from snncc.ir.schedule import Schedule
from snncc.transform.base import Context

Array = npt.NDArray[Any]
#: Steps at most where the counts have no upper end.
LIMIT = 2048
#: Steps simulated between two looks at the spikes.
PIECE = 8
SAMPLES = 64
#: Samples simulated at a time.
BATCH = 8
#: Multiply-accumulates of a certificate at most, about: larger nets are certified on fewer samples.
WORK = 4e10


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was verified, on how much.

    settled: the step after which no neuron of any sample fires; None if some still fired at `steps`, the last one
    simulated. mismatches: (neuron, sample) pairs whose count is not the level of the quantised ANN that has the
    network's thresholds; `first` names the first. moved: pairs whose count is not the level in the ANN before
    conversion: rounding of thresholds moves some.
    """

    settled: int | None
    steps: int
    neurons: int
    samples: int
    mismatches: int
    moved: int
    first: str | None

    @property
    def lossless(self) -> bool:
        """Whether every count is the quantised ANN's level."""
        return self.settled is not None and self.mismatches == 0


def certifiable(net: Network) -> bool:
    """Whether a network promises exact counts: an input that ends, and nothing but signed neurons that fire early."""
    neurons = [n for n in net.nodes if isinstance(n, Neuron) and n.name in net.varying]
    exact = all(n.WHOLE and n.negative == "early" and n.at_once == 1 for n in neurons)
    return net.stage == "snn" and net.schedule.limit is not None and bool(neurons) and exact


def quantized_ann(net: Network) -> Network:
    """The quantised ANN of a network: step = threshold / T_in, offset = v_init / T_in, amplitude = amplitude / T_in."""
    duration, arrays = net.schedule.limit or 1, {}

    def change(node: Node) -> Node:
        if not isinstance(node, Neuron):
            return node
        parts = {"step": node.threshold, "offset": node.v_init, "amplitude": node.amplitude}
        for key, source in parts.items():
            arrays[f"{node.name}/{key}"] = net.arrays[source].astype(np.float64) / duration
        names: dict[str, Any] = {key: f"{node.name}/{key}" for key in parts}
        common: dict[str, Any] = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
        return QuantizedRelu(**common, **names, levels=node.cap)

    return net.rewrite(change, arrays, stage="ann", schedule=Schedule())


def levels(net: Network, feeds: Mapping[str, Array]) -> dict[str, Tensor]:
    """The level of every quantised ReLU, in float64."""
    engine = Engine(net, dtype=torch.float64)
    values = engine.evaluate(feeds)
    found = [node for node in net.nodes if isinstance(node, QuantizedRelu)]
    return {node.name: torch.round(values[node.name] / engine.arrays[node.amplitude]) for node in found}


@dataclass(slots=True)
class Counts:
    """Net spikes of every neuron, and the last step with a spike."""

    engine: Engine
    begin: int = 0
    last: int = 0
    silent: bool = False
    total: dict[str, Tensor] = field(default_factory=dict)

    def observe(self, node: Node, series: Tensor) -> None:
        """A neuron's output over the steps of a piece, (T', N, ...)."""
        active = torch.nonzero((series != 0).flatten(1).any(1))
        if len(active):
            self.silent = self.silent and int(active[-1]) < len(series) - 1
            self.last = max(self.last, self.begin + int(active[-1]) + 1)
        if isinstance(node, Neuron):
            counts = series.sum(0) / self.engine.arrays[node.amplitude]
            self.total[node.name] = self.total.get(node.name, 0) + counts


@torch.no_grad()
def settle(net: Network, feeds: Mapping[str, Array]) -> tuple[Counts, int]:
    """Simulate in float64 until a step without any event after the input has ended; and how many steps that took."""
    engine = Engine(net, dtype=torch.float64)
    counts = Counts(engine)
    caps = [node.cap for node in net.nodes if isinstance(node, Neuron)]
    duration = net.schedule.limit or 1
    bound = duration + sum(c for c in caps if c) + 1 if all(caps) else LIMIT
    session = Session(
        engine=engine, feeds=feeds, timesteps=bound, checkpoints=(bound,), observe=counts.observe, count=False
    )
    t = 0
    while t < bound and not (counts.silent and t > duration):
        counts.begin, counts.silent = t, True
        session.advance(t, min(t + PIECE, bound))
        t = min(t + PIECE, bound)
    return counts, t


def named(node: Neuron, at: tuple[int, ...], count: float, level: float) -> str:
    """One mismatch in words."""
    axis = node.batch if node.batch is not None else -1
    index = [str(i % node.shape[j]) if j == axis else str(i) for j, i in enumerate(at)]
    sample = at[axis] // node.shape[axis] if axis >= 0 else 0
    return f"{node.name}[{', '.join(index)}] of sample {sample}: count {count:g}, level {level:g}"


def samples_for(net: Network) -> int:
    """How many samples a certificate takes: 64, fewer where the net is large, 4 at least."""
    work = sum(multiply_accumulates(net, node) for node in net.nodes) * 4 * ((net.schedule.limit or 1) + PIECE)
    return max(4, min(SAMPLES, int(WORK / max(1, work))))


def certify(net: Network, ann: Network, batches: Iterable[Mapping[str, Array]]) -> Certificate | None:
    """Certify a network on data; `ann` is its quantised ANN before conversion. None where it promises no equality."""
    if not certifiable(net):
        return None
    own = quantized_ann(net)
    settled, steps, samples, mismatches, moved = 0, 0, 0, 0, 0
    still, first = False, None
    for feeds in batches:
        counts, t = settle(net, feeds)
        settled, steps, still = max(settled, counts.last), max(steps, t), still or not counts.silent
        samples += counts.engine.samples(feeds)
        expected, before = levels(own, feeds), levels(ann, feeds)
        for name, total in counts.total.items():
            node, count = net[name], torch.round(total)
            off = torch.nonzero(count != expected[name])
            mismatches += len(off)
            moved += int((count != before[name]).sum()) if name in before else 0
            if len(off) and first is None and isinstance(node, Neuron):
                at = tuple(int(i) for i in off[0])
                first = named(node, at, float(count[at]), float(expected[name][at]))
    return Certificate(
        settled=None if still else settled,
        steps=steps,
        neurons=sum(int(np.prod(n.shape)) for n in net.nodes if isinstance(n, Neuron) and n.name in net.varying),
        samples=samples,
        mismatches=mismatches,
        moved=moved,
        first=first,
    )


def certified(net: Network, context: Context) -> Certificate | None:
    """Certify what passes have made of a network, on calibration samples; None where it promises no equality."""
    if not certifiable(net):
        return None
    batches = context.calibration.head(samples_for(net)).batches(BATCH)
    return certify(net, context.ann, (feed for feeds in batches for feed in rows(context.values, feeds)))
