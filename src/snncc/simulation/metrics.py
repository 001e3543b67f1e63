# SPDX-License-Identifier: Apache-2.0
"""What the papers measure, as pure functions: latency, lossless T, and energy by three models with their formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy.typing as npt

from snncc.ir.analysis import multiply_accumulates
from snncc.ir.classes import operations
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Spiking

Array = npt.NDArray[Any]
#: Picojoules of a 32-bit multiply-accumulate and accumulate in 45 nm (doi:10.1109/ISSCC.2014.6757323).
MAC_PJ, AC_PJ = 4.6, 0.9
#: Synaptic operations that one multiply-accumulate is worth in Zou's count.
SOP_PER_MAC = 4


def latency(curve: Mapping[int, float], tolerance: float = 0.02) -> int | None:
    """Chen's C_T: the smallest t with |acc_t - acc_T| / acc_T < tolerance, T the last one; None for acc_T = 0."""
    last = curve[max(curve)]
    return next((t for t in sorted(curve) if abs(curve[t] - last) / last < tolerance), None) if last else None


def lossless(curve: Mapping[int, float], ann: float, tolerance: float = 0.0) -> int | None:
    """The first t with |acc_t - acc_ANN| <= tolerance, or acc_t above acc_ANN; None if there is none."""
    return next((t for t in sorted(curve) if curve[t] >= ann - tolerance - 1e-12), None)


def firing_rate(events: Mapping[str, Array], timesteps: int, samples: int) -> float:
    """Spikes per neuron and step: events / (neurons T samples)."""
    neurons = sum(counts.size for counts in events.values())
    total = sum(float(counts.sum()) for counts in events.values())
    return total / (neurons * timesteps * samples) if neurons else 0.0


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """An energy per sample by one model, beside the ANN's by the same model."""

    model: str
    formula: str
    source: str
    unit: str
    snn: float
    ann: float

    @property
    def ratio(self) -> float:
        """SNN over ANN."""
        return self.snn / self.ann if self.ann else float("nan")


def presynaptic(network: Network) -> dict[str, frozenset[str]]:
    """For each weighted node the emitters (neurons, encoders, differential nodes) whose values reach it."""
    reach: dict[str, frozenset[str]] = {}
    found: dict[str, frozenset[str]] = {}
    for node in network.nodes:
        sources = frozenset().union(*[reach[name] for name in node.inputs])
        if multiply_accumulates(network, node) and node.name in network.varying:
            found[node.name] = sources
        emits = isinstance(node, (Spiking, Differential)) and node.name in network.varying
        reach[node.name] = frozenset({node.name}) if emits else sources
    return found


def rate_operations(network: Network, events: Mapping[str, Array], samples: int) -> tuple[float, float]:
    """(OP_1, sum over l >= 2 of OP_l spikes_l / neurons_l) per sample: layers that see the input, and all others.

    spikes_l / neurons_l are the events per neuron, over all steps, of what reaches layer l (presynaptic).
    """
    first = others = 0.0
    for name, sources in presynaptic(network).items():
        count = multiply_accumulates(network, network[name])
        if not any(s in events for s in sources):  # the input, or functions behind the last neuron: once
            first += count
            continue
        spikes = sum(float(events[s].sum()) for s in sources if s in events) / samples
        others += count * spikes / sum(events[s].size for s in sources if s in events)
    return first, others


def energies(
    network: Network,
    events: Mapping[str, Array],
    fan_out: Mapping[str, Array],
    *,
    timesteps: int,
    samples: int,
    cached: bool = True,
) -> tuple[Energy, ...]:
    """The energy per sample by the models of the papers.

    events: per emitter, events per neuron summed over samples and steps; fan_out: `execute.torch.synapses.fan_out`.
    cached: whether the first layer's current, which is the same at every step, is computed once or T times. Graded
    values and analog layers cost a multiply that none of the models counts.
    """
    total = sum(multiply_accumulates(network, node) for node in network.nodes)
    first, by_rate = rate_operations(network, events, samples)
    per_source = {name: float((counts * fan_out[name]).sum()) / samples for name, counts in events.items()}
    synaptic, times = sum(per_source.values()), 1 if cached else timesteps
    once = "once" if cached else f"at each of the {timesteps} steps"
    last = {name for name, sources in presynaptic(network).items() if name in network.outputs}
    into_last = set().union(*[presynaptic(network)[name] for name in last]) if last else set[str]()
    inner = sum(ops for name, ops in per_source.items() if name not in into_last)
    outer = sum(multiply_accumulates(network, network[name]) for name in last) + operations(network)["input"]
    return (
        Energy(
            model="synaptic operations",
            formula=f"{MAC_PJ} pJ OP_1 ({once}) + {AC_PJ} pJ SOP, SOP = sum over events of the real fan-out",
            source="doi:10.1109/ISSCC.2014.6757323",
            unit="uJ",
            snn=(MAC_PJ * first * times + AC_PJ * synaptic) * 1e-6,
            ann=MAC_PJ * total * 1e-6,
        ),
        Energy(
            model="firing rates",
            formula=f"{MAC_PJ} pJ OP_1 ({once}) + {AC_PJ} pJ sum_(l>=2) OP_l spikes_l / neurons_l, presynaptic spikes",
            source="Wang 2024 (DNISNM) Eq. 24-26, He 2024 (MSAT) Eq. 21-23",
            unit="uJ",
            snn=(MAC_PJ * first * times + AC_PJ * by_rate) * 1e-6,
            ann=MAC_PJ * total * 1e-6,
        ),
        Energy(
            model="synaptic operations, 1 MAC = 4 SOP",
            formula="SOP without the first and last layer, against 4 MAC of the ANN without them",
            source="Zou 2024",
            unit="SOP",
            snn=inner,
            ann=float(SOP_PER_MAC * (total - outer)),
        ),
    )
