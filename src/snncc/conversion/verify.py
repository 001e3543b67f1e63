# SPDX-License-Identifier: Apache-2.0
"""How far a network is from the truth, and whether a pass kept its promise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from snncc.errors import FidelityError
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.ir.masks import MASK
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Foreign, Node, Operator, QuantizedRelu
from snncc.ir.operators import OPERATORS
from snncc.transform.base import Fidelity
from snncc.transform.values import AnnValues

Array = npt.NDArray[Any]
#: Rounding of a float32 evaluation, as a multiple of the largest value (epsilon times a chain of 64 operations).
ROUNDING = 64 * float(np.finfo(np.float32).eps)
#: The same of values that onnxruntime computes in half the width.
HALF_ROUNDING = 64 * float(np.finfo(np.float16).eps)
#: The share of a discontinuous function's entries that rounding of its arguments may move.
MOVED = 1e-3


#: Functions whose range is at most 1: onnxruntime's kernels are exact to rounding of 1, not of a value near 0.
UNIT_RANGE = ("sigmoid", "softmax", "masked_softmax", "tanh")


def least_scale(node: Node) -> float:
    """The magnitude that errors of a node's value are relative to at least."""
    inner = node.function if isinstance(node, Differential) else node
    return 1.0 if isinstance(inner, Operator) and inner.op in UNIT_RANGE else 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """The largest error of any value relative to the largest magnitude of that value, and where it is."""

    error: float
    node: str
    allowed: float


def rows(values: AnnValues, feeds: Mapping[str, Array]) -> list[dict[str, Array]]:
    """The feeds of each evaluation: all samples at once, or one by one where the network has no axis for them."""
    if not values.one_at_a_time:
        return [dict(feeds)]
    return [values.take(feeds, i, i + 1) for i in range(values.count(feeds))]


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Tensors as arrays."""
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def jumps(net: Network, node: Node) -> bool:
    """Whether a value may jump where its argument is only rounded differently."""
    if node.name not in net.varying:
        return False
    if isinstance(node, Operator):
        return not OPERATORS[node.op].continuous
    return isinstance(node, QuantizedRelu | Foreign)


def deviation(net: Network, values: AnnValues, name: str, truth: Array, found: Array) -> Deviation:
    """How far a value is off, relative to its largest magnitude."""
    allowed = HALF_ROUNDING if truth.dtype == np.float16 else ROUNDING
    expected, got = truth.astype(np.float64), found.astype(np.float64)
    if expected.shape != got.shape:
        return Deviation(error=float("inf"), node=name, allowed=ROUNDING)
    finite = np.isfinite(expected)
    if name in values.masked:  # what hides an entry is no scale for the others
        finite &= np.abs(expected) < MASK / 2
    scale = max(least_scale(net[name]), float(np.abs(expected[finite]).max(initial=0)))
    off = np.abs(got[finite] - expected[finite]) / scale
    if jumps(net, net[name]) and np.count_nonzero(off > allowed) <= MOVED * off.size:
        return Deviation(error=0.0, node=name, allowed=allowed)
    return Deviation(error=float(off.max(initial=0)), node=name, allowed=allowed)


def ann_deviation(
    net: Network, values: AnnValues, feeds: Mapping[str, Array], like: Network | None = None
) -> Deviation:
    """The first node (in order) whose value is off, or else the node with the largest error.

    Every value that onnxruntime computes too is compared with it, computed in float32 as well from onnxruntime's values
    before it, so that rounding does not add up over the depth of a network. Where a discontinuous function sees
    rounding, its entries may differ; they are compared by the share that does. `like`: compare with the values of this
    network instead, which an approximation has already taken away from onnxruntime's.
    """
    engine, worst = Engine(net), Deviation(error=0.0, node="", allowed=ROUNDING)
    shared = values.known if like is None else values.known & like.by_name.keys()
    names = [n.name for n in net.nodes if n.name in shared and n.inputs]
    for feed in rows(values, feeds):
        truth = values.at_once(feed, names, original=True) if like is None else as_arrays(Engine(like).evaluate(feed))
        found = engine.evaluate(feed, {n: truth[n] for n in names})
        for name in names:
            one = deviation(net, values, name, truth[name], found[name].cpu().numpy())
            if one.error > 1e3 * one.allowed:
                return one
            if one.error / one.allowed > worst.error / worst.allowed:
                worst = one
    return worst


def simulated(net: Network, values: AnnValues, feeds: Mapping[str, Array], timesteps: int) -> dict[str, Array]:
    """The outputs after `timesteps` steps, samples stacked."""
    engine, (_, piece) = Engine(net), plan(net, timesteps, values.count(feeds))
    parts = [
        engine.run(feed, timesteps, steps_at_once=piece, count=False, first_sample=i).outputs
        for i, feed in enumerate(rows(values, feeds))
    ]
    joined = {}
    for name in net.outputs:
        arrays = [part[name][0].cpu().numpy() for part in parts]
        joined[name] = np.stack(arrays) if values.one_at_a_time else arrays[0]
    return joined


def relative_power(found: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """Mean squared error over the mean square of the expected values, over all outputs."""
    error = sum(float(np.square(found[n].astype(np.float64) - expected[n]).sum()) for n in expected)
    power = sum(float(np.square(expected[n].astype(np.float64)).sum()) for n in expected)
    return error / max(power, 1e-30)


def judge(name: str, fidelity: Fidelity, deviation: Deviation, before: Deviation, bound: float | None) -> None:
    """Raise FidelityError when an exact or bounded pass has moved a value further than it promised.

    An exact pass may add its own rounding to that which the lowered graph already showed against onnxruntime.
    """
    allowed = bound if bound is not None else deviation.allowed + 4 * before.error
    if fidelity is not Fidelity.EMPIRICAL and not (deviation.error <= allowed and math.isfinite(deviation.error)):
        raise FidelityError(
            f"pass {name} promised {fidelity} but {deviation.node} is off by {deviation.error:.3g} of its largest "
            f"value (allowed {allowed:.3g})",
            cure="convert with --keep-passes DIR and look at the network after this pass; please report it",
        )
