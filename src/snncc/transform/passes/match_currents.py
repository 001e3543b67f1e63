# SPDX-License-Identifier: Apache-2.0
"""The pass `match_currents`: layer by layer, on spiking inputs, currents are matched to the ANN's pre-activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from snncc.errors import RecipeError
from snncc.execute.torch.layout import stepwise
from snncc.execute.torch.replay import PIECE, AnnReplay, Replay, Store, last_readers
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Differential, Neuron, Node
from snncc.transform.base import Context, Fidelity, channel_axis, transform
from snncc.transform.branches import Branch, branches, undo, with_biases, with_shifts
from snncc.transform.features import (
    as_coefficients,
    as_weight,
    drawn_positions,
    patches,
    positions,
    targets,
    validated_ridge,
)
from snncc.transform.neuron_search import best_arrays, searchable
from snncc.transform.thresholds import neurons


@dataclass(slots=True)
class Matching:
    """The sweep over the layers: the network as corrected so far, and the samples carried along."""

    net: Network
    replay: Replay
    ann: AnnReplay
    generator: torch.Generator
    changed: dict[str, Array] = field(default_factory=dict)

    def put(self, node: Node, name: str, value: Tensor) -> None:
        """Replace an array of the running network."""
        self.replay.engine.arrays[name] = value.to(self.replay.engine.dtype)
        self.changed[name] = value.numpy().astype(np.float32)

    def seen(self, branch: Branch, neuron: Neuron, picks: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Batch by batch, what the branch's node sees at some positions, and what it should give there."""
        node, engine, source = branch.node, self.replay.engine, neuron.inputs[0]
        for index, pick in enumerate(picks):
            rest = self.replay.mean(source, index, without=node.name)
            wanted = undo(self.net, branch, self.ann.value(source, index, end=neuron.name) - rest, engine.arrays)
            features = patches(self.replay.mean(node.inputs[0], index), node, engine.arrays[node.weight], pick)
            yield features, targets(wanted, node, pick)

    def solve(self, branch: Branch, neuron: Neuron, strength: float, rows: int) -> None:
        """Least squares of what is missing on what the node sees, at random positions of all samples."""
        node, engine = branch.node, self.replay.engine
        weight, picks = engine.arrays[node.weight], list[Tensor]()
        for feeds in self.replay.batches:
            count = engine.samples(feeds)
            shape = tuple(d * count if i == node.batch else d for i, d in enumerate(node.shape))
            share = max(1, rows // len(self.replay.batches))
            picks.append(drawn_positions(positions(node, shape), share, self.generator))
        found, intercept = validated_ridge(
            self.seen(branch, neuron, picks), sum(map(len, picks)), strength, as_coefficients(node, weight)
        )
        self.put(node, node.weight, as_weight(found, node, weight))
        if node.bias is not None:
            self.put(node, node.bias, intercept.reshape(-1))

    def fire(self, neuron: Neuron, shift: Tensor, rounds: int, axis: int) -> Tensor:
        """Run the neuron on its current plus a shift per channel; the shift follows the mean error for some rounds."""
        replay, kept, net = self.replay, Store(), self.replay.network
        gates, divisor = replay.session(0).gates(0, replay.timesteps), net.schedule.divisor(replay.timesteps)
        for turn in range(rounds + 1):
            error, seen = torch.zeros_like(shift, dtype=torch.float64), 0
            for index in range(len(replay.batches)):
                current = kept.arrays[neuron.name, index] if turn else replay.current(neuron, index)
                if rounds:
                    if not turn:
                        kept.put((neuron.name, index), current)
                    current = current + shift * stepwise(gates, current)
                out = replay.fire(neuron, current, index)
                if turn == rounds:
                    replay.keep(neuron.name, index, out)
                    continue
                mean, target = out.sum(0) / divisor, self.ann.value(neuron.name, index)
                axes = tuple(i for i in range(target.ndim) if i != axis)
                error += (target - mean).double().sum(axes, keepdim=True)
                seen += target.numel() // (target.shape[axis] if target.ndim else 1)
            if turn < rounds:
                shift = shift + (error / seen).to(shift.dtype)
        replay.done.add(neuron.name)
        return shift

    def leave(self, node: Node, readers: Mapping[str, str]) -> None:
        """Go on to the next layer: a function's output is simulated, and what no later one reads is let go."""
        indices = range(len(self.replay.batches))
        for index in () if isinstance(node, Neuron) else indices:
            self.replay.simulate_end(node, index)
        for index in indices:
            self.ann.value(node.name, index)
        self.replay.release(node.name, readers)
        self.ann.release(node.name, readers)


@transform(fidelity=Fidelity.EMPIRICAL, needs={"thresholds", "membrane"}, gives={"matched"}, uses_timesteps=True)
def match_currents(
    net: Network,
    ctx: Context,
    *,
    weights: bool = True,
    strength: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-3,
    rows: Annotated[int, msgspec.Meta(ge=64, le=1 << 20)] = 32768,
    bias_rounds: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3,
    search: Annotated[int, msgspec.Meta(ge=0)] = 0,
) -> Network:
    """Correct each layer on spiking inputs, in topological order, every earlier layer already spiking.

        R = X - mean_t I(t);   (F'F + strength m 1) d = F'R;   W += d, b += intercept       (weights)
        b += E[a - mean_t y(t)] per channel, `bias_rounds` times           (neurons whose weights can't be matched)

    X and a are the ANN's pre-activation and activation, I and y the neuron's current and output over the design T,
    F what the weighted node sees of the mean spikes at up to `rows` random positions, m the mean diagonal of F'F. The
    strength is raised as far as a fifth of the samples, held back, asks for. The last convolution of a residual block
    thereby corrects the error that has gathered on its shortcut. With `search` samples, thresholds (and the counts that
    centred neurons rest at) are then chosen anew, by simulating the neurons on the currents that now arrive: they
    fluctuate, unlike the constant ones that thresholds were made for. No labels, no gradients. Each layer is simulated
    once; the bias rounds run the neurons alone. Calibration samples out of all proportion are left out (noted).

    Options    weights; strength of the ridge; rows; bias_rounds; search, 0 keeps thresholds and resting counts
    Shapes     those of the weights
    Guarantee  measured; memory: what later layers read, a byte per spike, in temporary files beyond 2 GiB
    Refuses    nothing; a weighted node that feeds several neurons, or reaches its neuron through pooling, keeps its
               weights, and its neuron is corrected by bias alone
    Source     bias rounds: arXiv:2106.06984; the least squares on spiking inputs are this project's own
    """
    if added := [node.name for node in neurons(net) if node.name not in ctx.ann.by_name]:
        raise RecipeError(f"match_currents: {added[0]} has no value in the ANN", cure="put spike_functions after it")
    net, ctx = with_biases(net), ctx.typical([node.name for node in neurons(net)])
    ends = frozenset(n.name for n in net.nodes if isinstance(n, (Neuron, Differential)) and n.name in net.varying)
    work = matching(net, ctx, ends)
    readers = last_readers(net, ends)
    order = [node for node in net.nodes if node.name in ends]
    remaining = {node.name for node in neurons(net)}
    shifts: dict[str, Tensor] = {}
    for done, node in enumerate(order):
        if not remaining:
            break
        ctx.progress("matching currents", done, len(order))
        if isinstance(node, Neuron):
            shifts[node.name] = match_layer(work, node, weights, strength, rows, bias_rounds, search)
            remaining.discard(node.name)
        work.leave(node, readers)
    ctx.progress("matching currents", len(order), len(order))
    return with_shifts(net.with_arrays(work.changed), shifts)


def matching(net: Network, ctx: Context, ends: frozenset[str]) -> Matching:
    """The sweep before its first layer; `ends` are the values at which replays stop."""
    size = max(1, min(len(ctx.calibration), PIECE // (ctx.timesteps * largest(net))))
    feeds = list(ctx.calibration.batches(1 if ctx.values.one_at_a_time else size))
    replay = Replay(net, feeds, ctx.timesteps)
    return Matching(
        net=net,
        replay=replay,
        ann=AnnReplay(ctx.ann, feeds, ends, replay.store),
        generator=torch.Generator().manual_seed(ctx.seed),
    )


@torch.no_grad()
def match_layer(
    work: Matching, neuron: Neuron, weights: bool, strength: float, rows: int, bias_rounds: int, search: int
) -> Tensor:
    """Correct one layer; returns the shift of its current per channel."""
    matched = branches(work.net, neuron) if weights else []
    for branch in matched:
        work.solve(branch, neuron, strength, rows)
    axis = channel_axis(work.net, neuron)
    if search and searchable(neuron):
        for name, value in best_arrays(neuron, work.replay, work.ann, axis, search).items():
            work.put(neuron, name, value)
    shape = [neuron.shape[axis] if i == axis else 1 for i in range(len(neuron.shape))]
    return work.fire(neuron, torch.zeros(shape), 0 if matched else bias_rounds, axis)


def largest(net: Network) -> int:
    """Entries of the largest value of one sample."""
    return max(int(np.prod(node.shape)) for node in net.nodes)
