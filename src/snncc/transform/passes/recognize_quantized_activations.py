# SPDX-License-Identifier: Apache-2.0
"""The pass `recognize_quantized_activations`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Affine, Clip, Node, Operator, QuantizedRelu, Relu
from snncc.transform.base import Context, Fidelity, transform

#: How near to each other numbers of the file must lie to count as equal (they are float32).
NEAR = 1e-5


def number(value: Any) -> Array:
    """An array in float64."""
    return np.asarray(value, np.float64)


@dataclass(frozen=True, slots=True)
class Ramp:
    """clip(scale x + shift, low, high), in float64; every entry of scale is positive."""

    scale: Array
    shift: Array
    low: Array
    high: Array

    def through(self, net: Network, node: Node) -> Ramp | None:
        """The ramp followed by a node; None where the node is none, or falls."""
        if isinstance(node, Relu):
            return self.clipped(0.0, None)
        if isinstance(node, Clip):
            return self.clipped(node.low, node.high)
        if not isinstance(node, Affine):
            return None
        factor = number(1) if node.scale is None else number(net.arrays[node.scale])
        shift = number(0) if node.shift is None else number(net.arrays[node.shift])
        return self.affine(factor, shift) if (factor > 0).all() else None

    def affine(self, factor: Array, shift: Array) -> Ramp:
        """factor times the ramp plus shift."""
        with np.errstate(invalid="ignore"):
            ends = [np.where(np.isinf(end), end, end * factor + shift) for end in (self.low, self.high)]
        return Ramp(self.scale * factor, self.shift * factor + shift, ends[0], ends[1])

    def clipped(self, low: float | None, high: float | None) -> Ramp:
        """The ramp cut to a range."""
        least, most = -np.inf if low is None else low, np.inf if high is None else high
        return replace(self, low=np.clip(self.low, least, most), high=np.clip(self.high, least, most))


def identity() -> Ramp:
    """The ramp y = x."""
    one, zero, infinity = number(1), number(0), number(np.inf)
    return Ramp(one, zero, -infinity, infinity)


@dataclass(frozen=True, slots=True)
class Stairs:
    """amplitude clip(floor((x + offset) / step), 0, levels)."""

    step: Array
    offset: Array
    amplitude: Array
    levels: int | None


def stairs(before: Ramp, after: Ramp) -> Stairs | None:
    """The floor between two ramps as one staircase; None where it does not begin at 0 or end at a level."""
    low, high = (np.clip(np.floor(e + NEAR) * after.scale + after.shift, after.low, after.high) for e in ends(before))
    if np.any(np.abs(after.shift) > NEAR * after.scale) or np.any(np.abs(low) > NEAR * after.scale):
        return None
    levels = np.unique(np.round(high / after.scale, 3))
    if levels.size != 1 or levels[0] < 1 or (np.isfinite(levels[0]) and levels[0] != round(float(levels[0]))):
        return None
    step, offset, amplitude = 1 / before.scale, before.shift / before.scale, after.scale
    if np.allclose(step, amplitude, rtol=NEAR, atol=0):  # 1/s and s were rounded apart
        step = amplitude
    if np.allclose(before.shift, 0.5, rtol=0, atol=1e-6):
        offset = step / 2
    return Stairs(step, offset, amplitude, None if np.isinf(levels[0]) else round(float(levels[0])))


def ends(ramp: Ramp) -> tuple[Array, Array]:
    """Both ends of a ramp."""
    return ramp.low, ramp.high


def chains(net: Network, node: Node, *, forward: bool) -> list[tuple[Node, ...]]:
    """The chains of ramps before (or behind) a node that nothing else reads, the longest first."""
    found: list[tuple[Node, ...]] = [()]
    at = node
    while True:
        link = at if forward else net[at.inputs[0]]
        readers = net.consumers[link.name]
        if len(readers) != 1 or link.name in net.outputs:
            break
        at = readers[0] if forward else link
        if not isinstance(at, Relu | Clip | Affine):
            break
        found.append((*found[-1], at) if forward else (at, *found[-1]))
    return found[::-1]


def along(net: Network, ramp: Ramp, nodes: tuple[Node, ...]) -> Ramp | None:
    """A ramp through several nodes."""
    found: Ramp | None = ramp
    for node in nodes:
        found = None if found is None else found.through(net, node)
    return found


def rounding(net: Network, node: Operator) -> tuple[Array, Array, float | None, float | None] | None:
    """How a node rounds, factor clip(floor(x / factor + shift), low, high); None where it does something else."""
    if node.op in ("floor", "round_half_even"):
        return number(1), number(0 if node.op == "floor" else 0.5), None, None
    if node.op != "fake_quantize":
        return None
    scale, zero = net.value_of(node.inputs[1]), net.value_of(node.inputs[2])
    if scale is None or zero is None or zero.size != 1 or not (scale > 0).all():
        return None
    low, high = (float(str(node.attributes[key])) - float(zero.item()) for key in ("low", "high"))
    return number(scale), number(0.5), low, high


def recognized(net: Network, node: Operator) -> tuple[Stairs, tuple[Node, ...], tuple[Node, ...]] | None:
    """The largest staircase around a node that rounds, and the chains before and behind it that it takes in."""
    kind = rounding(net, node)
    if kind is None:
        return None
    factor, shift, low, high = kind
    for before in chains(net, node, forward=False):
        ramp = along(net, identity(), before)
        if ramp is None:
            continue
        for behind in chains(net, node, forward=True):
            last = along(net, identity().clipped(low, high).affine(factor, number(0)), behind)
            found = None if last is None else stairs(ramp.affine(1 / factor, shift), last)
            if found is not None:
                return found, before, behind
    return None


@transform(fidelity=Fidelity.EXACT, gives={"quantized"})
def recognize_quantized_activations(net: Network, ctx: Context) -> Network:
    """Gather the operators of a quantised ReLU (LSQ, QCFS, fixed point) into one node.

        y = amplitude clip(floor((x + offset) / step), 0, levels)

    Found around every Floor, Round and QuantizeLinear-DequantizeLinear pair from the shifts, positive scales, Clips
    and ReLUs before and behind it, in any order, which nothing else reads: the whole is a staircase if it begins at
    0 and ends at a level or never. Round sends ties to the even side and a neuron up: noted.

    Shapes     step, offset, amplitude broadcast against the value; y has the shape of x
    Guarantee  exact, but for exact ties of Round
    Refuses    nothing: what is no such staircase stays as it is
    Source     arXiv:1902.08153 (LSQ), arXiv:2303.04347 (QCFS)
    """
    new: dict[str, Node] = {}
    arrays: dict[str, Array] = {}
    gone: set[str] = set()
    for node in net.nodes:
        if not isinstance(node, Operator) or node.name not in net.varying or node.name in gone:
            continue
        found = recognized(net, node)
        if found is None:
            continue
        shape, before, behind = found
        last = behind[-1] if behind else node
        gone |= {n.name for n in (*before, node, *behind)}
        if node.op != "floor":
            ctx.note("approximation", last.name, "rounds half to even in the file, half up here: exact ties differ")
        names = {key: f"{last.name}/{key}" for key in ("step", "offset", "amplitude")}
        arrays |= {name: np.asarray(getattr(shape, key), np.float32) for key, name in names.items()}
        source = before[0].inputs if before else node.inputs[:1]
        common = {"name": last.name, "inputs": source, "shape": last.shape, "batch": last.batch}
        new[last.name] = QuantizedRelu(**common, **names, levels=shape.levels)  # type: ignore[arg-type]
    return net.replaced(new.values(), arrays)
