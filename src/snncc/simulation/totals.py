# SPDX-License-Identifier: Apache-2.0
"""What the batches of a simulation add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snncc.execute.analog_tail import TailTally
from snncc.execute.protocol import Counted
from snncc.ir.network import Array, Network
from snncc.ir.readout import choices, output_first


def samples_of(feeds: Mapping[str, Array]) -> int:
    """The number of samples in a batch."""
    return len(next((a for a in feeds.values() if a.ndim), [None]))


class Tally:
    """Sums over the batches for one output."""

    def __init__(self, points: Sequence[int]) -> None:
        self.points = points
        self.right = np.zeros(len(points), np.int64)
        self.agree = np.zeros(len(points), np.int64)
        self.squared = np.zeros(len(points))
        self.power, self.ann_right, self.classifies = 0.0, 0, True

    def add(self, found: Array, expected: Array, labels: Array | None) -> None:
        """One batch: found (checkpoints, N, ...), expected (N, ...), labels (N,) or None."""
        truth = choices(expected)
        entries = math.prod(expected.shape[1:])
        index = np.issubdtype(expected.dtype, np.integer)
        if labels is not None and not index and entries <= int(labels.max(initial=0)):
            self.classifies = False
        if labels is not None:
            self.ann_right += int((truth == labels).sum())
        self.power += float(np.square(expected.astype(np.float64)).sum())
        for i, output in enumerate(found):
            chosen = choices(output)
            self.agree[i] += int((chosen == truth).sum())
            self.right[i] += 0 if labels is None else int((chosen == labels).sum())
            self.squared[i] += float(np.square(output.astype(np.float64) - expected).sum())

    def by_step(self, values: Array, total: float) -> dict[str, float]:
        """A quantity per T as fractions of a total."""
        return {str(t): float(v / total) for t, v in zip(self.points, values, strict=True)}


class Totals:
    """Sums over the batches: the outputs at every T measured, spikes and events; `samples` so far."""

    def __init__(self, network: Network, points: Sequence[int], *, labelled: bool) -> None:
        self.network, self.labelled = network, labelled
        self.tallies, self.synchronous = ({name: Tally(points) for name in network.outputs} for _ in range(2))
        self.tail = TailTally(network, points)
        self.events: dict[str, Array] = {}
        self.clamped: dict[str, int] = {}
        self.positive, self.negative, self.samples = 0.0, 0.0, 0

    def add(
        self,
        found: Counted,
        expected: Mapping[str, Array],
        labels: Array | None,
        layered: Sequence[Mapping[str, Array]],
        samples: int,
    ) -> None:
        """One batch; layered: the outputs of the quantised reference at each T, if it runs."""
        for name in self.network.outputs:
            node = self.network[name]
            wanted = output_first(expected[name], node, samples)
            given = ((self.tallies, [*found.outputs[name]]), (self.synchronous, [o[name] for o in layered]))
            for tallies, outputs in given:
                if outputs:
                    tallies[name].add(np.stack([output_first(o, node, samples) for o in outputs]), wanted, labels)
        self.tail.add(found.outputs, expected)
        for name, counts in found.events.items():
            self.events[name] = self.events.get(name, 0) + counts.astype(np.float64)
        for name, moved in found.clamped.items():
            self.clamped[name] = self.clamped.get(name, 0) + moved
        self.positive, self.negative = self.positive + found.positive, self.negative + found.negative
        self.samples += samples

    def whole(self, values: dict[str, Any]) -> Any:
        """Values by output, or that of the only one."""
        return values if len(self.tallies) > 1 else next(iter(values.values()))

    def ann(self) -> dict[str, float | None]:
        """The ANN's accuracy by output, where there are labels."""
        shown = {n: self.labelled and t.classifies for n, t in self.tallies.items()}
        return {n: t.ann_right / self.samples if shown[n] else None for n, t in self.tallies.items()}

    def rates(self, neuron_steps: int) -> dict[str, float | None]:
        """Spikes per sample, and per neuron and step."""
        positive, negative = self.positive / self.samples, self.negative / self.samples
        rate = (self.positive + self.negative) / (neuron_steps * self.samples) if neuron_steps else None
        return {"firing_rate": rate, "positive_spikes": positive, "negative_spikes": negative}

    def curves(self, found: Mapping[str, Tally]) -> dict[str, Any]:
        """Accuracy, agreement and error at every T."""
        done, shown = self.samples, {n: self.labelled and t.classifies for n, t in found.items()}
        return {
            "accuracy": self.whole({n: t.by_step(t.right, done) if shown[n] else None for n, t in found.items()}),
            "agreement": self.whole({n: t.by_step(t.agree, done) for n, t in found.items()}),
            "error": self.whole({n: t.by_step(t.squared, max(t.power, 1e-30)) for n, t in found.items()}),
        }
