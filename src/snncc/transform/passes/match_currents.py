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
from snncc.ir.nodes import (
    Affine,
    Conv,
    ConvTranspose,
    Differential,
    Linear,
    Neuron,
    Node,
    Reshape,
    Sum,
    Transpose,
)
from snncc.transform.base import Context, Fidelity, channel_axis, transform
from snncc.transform.features import (
    Weighted,
    as_coefficients,
    as_weight,
    drawn_positions,
    patches,
    positions,
    targets,
    validated_ridge,
)
from snncc.transform.neuron_search import best_arrays, searchable
from snncc.transform.passes.balance_thresholds import neurons

WEIGHTED = (Conv, ConvTranspose, Linear)
MIN_GAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Branch:
    """A weighted node that reaches a neuron alone, and the nodes from it to the neuron's current."""

    node: Weighted
    path: tuple[Node, ...]


def branches(net: Network, neuron: Neuron) -> list[Branch]:
    """The weighted nodes that feed one neuron and nothing else, through nodes whose effect can be undone."""
    found: list[Branch] = []

    def walk(name: str, path: tuple[Node, ...]) -> None:
        node = net[name]
        if len(net.consumers[name]) > 1 or name in net.outputs or name not in net.varying:
            return
        if isinstance(node, WEIGHTED):
            found.append(Branch(node, path))
        elif isinstance(node, Sum | Affine | Reshape | Transpose) and net.is_linear(node):
            for source in node.inputs:
                if reversible(net, node, source):
                    walk(source, (node, *path))

    walk(neuron.inputs[0], ())
    return found


def reversible(net: Network, node: Node, source: str) -> bool:
    """Whether a residual of the node tells that of one of its inputs: no broadcasting, nothing scaled to zero."""
    if isinstance(node, Affine) and node.scale is not None and not net.arrays[node.scale].all():
        return False
    return isinstance(node, Reshape | Transpose) or tuple(node.shape) == tuple(net[source].shape)


def undo(net: Network, branch: Branch, residual: Tensor, arrays: Mapping[str, Tensor]) -> Tensor:
    """The residual at the weighted node that would explain a residual of the current."""
    source = branch.node.name
    steps: list[tuple[Node, str]] = []
    for node in branch.path:
        steps.append((node, source))
        source = node.name
    for node, read in reversed(steps):
        shape, batch = net[read].shape, net[read].batch
        extents = [-1 if i == batch else d for i, d in enumerate(shape)]
        if isinstance(node, Transpose):
            residual = residual.permute(*np.argsort(node.permutation).tolist())
        elif isinstance(node, Reshape):
            residual = residual.reshape(extents)
        elif isinstance(node, Sum):
            residual = residual / node.coefficients[node.inputs.index(read)]
        elif isinstance(node, Affine) and node.scale is not None:
            residual = residual / arrays[node.scale]
    return residual


@dataclass(slots=True)
class Matching:
    """The sweep over the layers: the network as corrected so far, and the samples carried along."""

    net: Network
    ctx: Context
    replay: Replay
    ann: AnnReplay
    generator: torch.Generator
    changed: dict[str, Array] = field(default_factory=dict)
    renamed: dict[str, Node] = field(default_factory=dict)

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


def with_biases(net: Network) -> Network:
    """The network with a bias in every weighted node. (Lowering gives each node arrays of its own.)"""
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node:
        if not isinstance(node, WEIGHTED) or node.bias is not None:
            return node
        name = f"{node.name}/bias"
        arrays[name] = np.zeros(node.shape[out_axis(node)], np.float32)
        return msgspec.structs.replace(node, bias=name)

    return net.rewrite(change, arrays)


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
    size = max(1, min(len(ctx.calibration), PIECE // (ctx.timesteps * largest(net))))
    feeds = list(ctx.calibration.batches(1 if ctx.values.one_at_a_time else size))
    ends = frozenset(n.name for n in net.nodes if isinstance(n, (Neuron, Differential)) and n.name in net.varying)
    replay = Replay(net, feeds, ctx.timesteps)
    work = Matching(
        net=net,
        ctx=ctx,
        replay=replay,
        ann=AnnReplay(ctx.ann, feeds, ends, replay.store),
        generator=torch.Generator().manual_seed(ctx.seed),
    )
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
        else:
            for index in range(len(feeds)):
                work.replay.simulate_end(node, index)
        for index in range(len(feeds)):
            work.ann.value(node.name, index)
        work.replay.release(node.name, readers)
        work.ann.release(node.name, readers)
    ctx.progress("matching currents", len(order), len(order))
    return with_shifts(net.with_arrays(work.changed), shifts)


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


def with_shifts(net: Network, shifts: Mapping[str, Tensor]) -> Network:
    """The shifts of currents put into a bias where a weighted node alone feeds the neuron, else an affine node."""
    arrays: dict[str, Array] = {}

    def change(node: Node) -> Node | list[Node]:
        if not isinstance(node, Neuron) or node.name not in shifts or not shifts[node.name].any():
            return node
        value = shifts[node.name].numpy().astype(np.float32)
        direct = [b for b in branches(net, node) if all(isinstance(p, Sum) and p.shape == b.node.shape for p in b.path)]
        if direct and direct[0].node.bias is not None and channel_axis(net, node) == out_axis(direct[0].node):
            branch, sign = direct[0], 1.0
            source = branch.node.name
            for step in branch.path:
                sign *= step.coefficients[step.inputs.index(source)] if isinstance(step, Sum) else 1.0
                source = step.name
            bias = str(branch.node.bias)
            arrays[bias] = (arrays.get(bias, net.arrays[bias]) + value.reshape(-1) / sign).astype(np.float32)
            return node
        name = f"{node.name}.corrected"
        arrays[f"{name}/shift"] = value
        source_node = net[node.inputs[0]]
        extra = Affine(
            name=name,
            inputs=node.inputs,
            shape=source_node.shape,
            batch=source_node.batch,
            shift=f"{name}/shift",
        )
        return [extra, msgspec.structs.replace(node, inputs=(name,))]

    return net.rewrite(change, arrays)


def out_axis(node: Weighted) -> int:
    """The axis of a weighted node's output channels."""
    return node.axis if isinstance(node, Linear) else 1
