# SPDX-License-Identifier: Apache-2.0
"""Thresholds and resting counts chosen anew for the currents that arrive, by simulating one layer of neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from snncc.execute.torch.replay import AnnReplay, Replay
from snncc.ir.nodes import Neuron

#: What thresholds are multiplied by; of equals the first is taken.
FACTORS = (1.0, 0.85, 1.2, 1.4)
#: For how many steps centred neurons start as if they had fired at their mean rate.
RESTS = (2, 0, 4)


def searchable(neuron: Neuron) -> bool:
    """Whether the threshold is free: spikes carry it, and no count depends on it."""
    return neuron.free and neuron.threshold == neuron.amplitude


def candidates(
    neuron: Neuron, arrays: Mapping[str, Tensor], mean: Tensor, timesteps: int
) -> Iterator[dict[str, Tensor]]:
    """The arrays to try: thresholds times `FACTORS`, the initial potential with them, and counts to rest at."""
    for factor in FACTORS:
        threshold = arrays[neuron.threshold] * factor
        scaled = {neuron.threshold: threshold, neuron.v_init: arrays[neuron.v_init] * factor}
        if neuron.offset is None:
            yield scaled
            continue
        rate = torch.where(threshold > 0, mean / threshold, 0)
        for steps in dict.fromkeys(min(rest, timesteps) for rest in RESTS):
            yield {**scaled, neuron.offset: torch.round(steps * rate)}


def best_arrays(neuron: Neuron, replay: Replay, ann: AnnReplay, axis: int, samples: int) -> dict[str, Tensor]:
    """The candidate for each threshold whose mean outputs are nearest to the ANN's activations a on some samples.

        argmin_c  e_c + (mean of e_c over the channel),   e_c = sum (a - mean_t y_c(t))^2

    y_c is what the neurons emit for their currents. The error of the channel (along `axis`) counts once more, as a
    single neuron is seldom active. The batches that hold the first `samples` samples are simulated.
    """
    arrays, seen, indices = replay.engine.arrays, 0, list[int]()
    shape, divisor = arrays[neuron.threshold].shape, replay.network.schedule.divisor(replay.timesteps)
    for index, feeds in enumerate(replay.batches):
        if seen < samples:
            seen += replay.engine.samples(feeds)
            indices.append(index)
    targets = [ann.value(neuron.name, index) for index in indices]
    entries = sum(target.numel() for target in targets) / shape.numel()
    mean = torch.stack([target.sum_to_size(shape) for target in targets]).sum(0) / entries
    tried = list(candidates(neuron, arrays, mean, replay.timesteps))
    errors = torch.zeros((len(tried), *shape), dtype=torch.float64)
    given = {name: arrays[name] for name in tried[0]}
    for index, target in zip(indices, targets, strict=True):
        current = replay.current(neuron, index)
        for error, choice in zip(errors, tried, strict=True):
            arrays.update(choice)
            error += (replay.emitted(neuron, current, index) / divisor - target).square().sum_to_size(shape)
    arrays.update(given)
    others = [i + 1 for i in range(len(shape)) if i != axis]
    best = (errors + errors.mean(others, keepdim=True) if others else errors).argmin(0, keepdim=True)
    return {name: torch.stack([c[name].broadcast_to(shape) for c in tried]).gather(0, best)[0] for name in given}
