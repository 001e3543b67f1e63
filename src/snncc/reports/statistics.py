# SPDX-License-Identifier: Apache-2.0
"""Sums over batches from which the line of one layer follows, in memory that does not grow with the samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snncc.ir.network import Network
from snncc.ir.nodes import SOURCES, Differential, LeakyIF, Neuron, Node
from snncc.reports.document import Histogram, Layer, Spread, rounded

Array = npt.NDArray[Any]
BINS = 24


def kind_of(node: Node) -> str:
    """The type of a node as the report names it: that of the function for a differential node."""
    inner = node.function if isinstance(node, Differential) else node
    operator = getattr(inner, "op", None) or getattr(inner, "operator", None)
    return str(operator) if operator else type(inner).__name__


def most_at_once(node: Node) -> int:
    """The spikes that a neuron may emit in one step."""
    return node.at_once if isinstance(node, Neuron) else 1


def largest_value(net: Network, node: Node, timesteps: int) -> Array | None:
    """What a neuron emits at most in T steps, as a mean; None where there is no such limit."""
    if not isinstance(node, Neuron):
        return None
    count: Any = timesteps * node.at_once if node.cap is None else min(node.cap, timesteps * node.at_once)
    if node.offset is not None:
        count = count + net.arrays[node.offset].astype(np.float64)
    return np.asarray(net.arrays[node.amplitude].astype(np.float64) * count / net.schedule.divisor(timesteps))


def spread(thresholds: Array) -> Spread:
    """The distribution of thresholds, those of dead neurons (0) apart."""
    values = thresholds[thresholds > 0].astype(np.float64)
    if not values.size:
        return Spread(count=thresholds.size, min=0, low=0, median=0, high=0, max=0)
    low, median, high = np.percentile(values, [5, 50, 95])
    numbers = [rounded(float(v)) or 0.0 for v in (values.min(), low, median, high, values.max())]
    names = ("min", "low", "median", "high", "max")
    return Spread(count=thresholds.size, **dict(zip(names, numbers, strict=True)))


@dataclass(slots=True, kw_only=True)
class LayerSums:
    """Sums for one layer. `found` counts entries; the moments are those of the ANN's values a and the SNN's y."""

    net: Network
    node: Node
    role: str
    timesteps: int
    found: int = 0
    a: float = 0.0
    y: float = 0.0
    aa: float = 0.0
    yy: float = 0.0
    ay: float = 0.0
    off: float = 0.0
    off_alone: float = 0.0
    alone: bool = False
    clipped: float = 0.0
    saturated: int = 0
    wrong: int = 0
    left: float = 0.0
    active: int = 0
    signed: bool = False
    fired: Array | None = None
    positive_in_ann: Array | None = None
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))
    zero: int = 0
    top: float = 0.0

    def add_values(self, expected: Array, mean: Array, alone: Array | None) -> None:
        """One batch: the ANN's values, the means of the simulation and those of the layer fed by the ANN."""
        a, y = expected.astype(np.float64).ravel(), mean.astype(np.float64).ravel()
        self.found += a.size
        self.a, self.y = self.a + float(a.sum()), self.y + float(y.sum())
        self.aa, self.yy, self.ay = self.aa + float(a @ a), self.yy + float(y @ y), self.ay + float(a @ y)
        self.off += float(np.square(y - a).sum())
        if alone is not None:
            self.alone = True
            self.off_alone += float(np.square(alone.astype(np.float64).ravel() - a).sum())

    def add_histogram(self, expected: Array) -> None:
        """The ANN's values of one batch, in bins whose range the first batch and the thresholds fix."""
        positive = expected[expected > 0]
        if not self.top:
            level = self.net.arrays[self.node.threshold].max(initial=0) if isinstance(self.node, Neuron) else 0
            self.top = float(max(level * most_at_once(self.node), positive.max(initial=0))) or 1.0
        self.counts += np.histogram(np.minimum(positive, self.top), BINS, (0, self.top))[0]
        self.zero += expected.size - positive.size

    def add_limits(self, expected: Array) -> None:
        """What the neurons cannot say in T steps, for one batch."""
        most = largest_value(self.net, self.node, self.timesteps)
        if most is not None:
            excess = np.maximum(expected.astype(np.float64) - most, 0)
            self.clipped += float(np.square(excess).sum())
            self.saturated += int(np.count_nonzero(excess))

    def add_spikes(self, fired: Array, current: Array, expected: Array, samples: int) -> None:
        """Which entries fired in one batch, beside the input that they get in the ANN."""
        if not isinstance(self.node, LeakyIF):  # which rightly answers negative input with negative values
            self.signed = True
            self.wrong += int(np.count_nonzero(fired & (current < 0)))
        self.fired = joined(self.fired, self.any_sample(fired, samples))
        self.positive_in_ann = joined(self.positive_in_ann, self.any_sample(expected > 0, samples))

    def any_sample(self, flags: Array, samples: int) -> Array:
        """Whether a flag is set for any sample, per neuron."""
        axis = self.node.batch
        if axis is None:
            return flags
        shape = (*flags.shape[:axis], samples, -1, *flags.shape[axis + 1 :])
        return np.asarray(flags.reshape(shape).any(axis))

    def add_residual(self, potential: Array, fired: Array, expected: Array) -> None:
        """The charge left in the membranes of active neurons, in spikes."""
        if not isinstance(self.node, Neuron):
            return
        threshold = self.net.arrays[self.node.threshold].astype(np.float64)
        moved = np.abs(potential - self.net.arrays[self.node.v_init])
        alive = np.broadcast_to(threshold > 0, moved.shape)
        charge = np.divide(moved, threshold, out=np.zeros(moved.shape), where=alive)
        active = fired | (expected > 0)
        self.left += float(charge[active].sum())
        self.active += int(np.count_nonzero(active))

    def line(self, **activity: Any) -> Layer:
        """The layer's line of the report."""
        node, neuron = self.node, isinstance(self.node, Neuron)
        thresholds = self.net.arrays[node.threshold] if isinstance(node, Neuron) else np.zeros(0)
        numbers = self.errors() | (self.of_neurons() if neuron else {})
        measured: Any = {name: None if value is None else rounded(value) for name, value in numbers.items()}
        return Layer(
            name=node.name,
            kind=kind_of(node),
            role=self.role,
            neurons=0 if isinstance(node, SOURCES) else math.prod(node.shape),
            thresholds=spread(thresholds) if neuron else None,
            histogram=self.histogram(thresholds) if self.found and (neuron or self.counts.any()) else None,
            **measured,
            **activity,
        )

    def errors(self) -> dict[str, float | None]:
        """Mean squared errors over the mean square of the ANN's values, and the correlation with these."""
        power = self.aa or 1e-30
        return {
            "isolated": self.off_alone / power if self.alone and self.found else None,
            "cumulative": self.off / power if self.found else None,
            "correlation": self.correlation(),
        }

    def correlation(self) -> float | None:
        """Pearson's coefficient between the ANN's values and the means; None where either does not vary."""
        n = max(1, self.found)
        spread_a, spread_y = self.aa / n - (self.a / n) ** 2, self.yy / n - (self.y / n) ** 2
        if not self.found or spread_a <= 1e-12 * self.aa / n or spread_y <= 1e-12 * self.yy / n:
            return None
        return (self.ay / n - self.a * self.y / n**2) / math.sqrt(spread_a * spread_y)

    def of_neurons(self) -> dict[str, float | None]:
        """What only neurons have: shares that saturate, stay silent or spike wrongly, and the charge that is left."""
        n, power = max(1, self.found), self.aa or 1e-30
        numbers: dict[str, float | None] = {"sin": self.wrong / n if self.signed else None}
        if self.fired is not None and self.positive_in_ann is not None:
            numbers["dead"] = float(np.mean(~self.fired & self.positive_in_ann))
        if self.found:
            numbers |= {"saturated": self.saturated / n, "clipping": self.clipped / power}
            numbers["residual"] = self.left / max(1, self.active)
        return numbers

    def histogram(self, thresholds: Array) -> Histogram:
        """The ANN's values beside the thresholds."""
        inside = np.minimum(thresholds.ravel(), self.top)
        bins = np.histogram(inside[inside > 0], BINS, (0, self.top))[0] if inside.size else np.zeros(0, np.int64)
        return Histogram(
            top=rounded(self.top) or 0.0,
            zero=self.zero,
            activations=tuple(int(c) for c in self.counts),
            thresholds=tuple(int(c) for c in bins),
        )


def joined(before: Array | None, flags: Array) -> Array:
    """Flags of this batch or of those before."""
    return flags if before is None else before | flags
