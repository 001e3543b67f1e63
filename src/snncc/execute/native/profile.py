# SPDX-License-Identifier: Apache-2.0
"""What each layer costs in the native engine, beside the rate at which this machine multiplies densely."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from snncc.execute.native.cost import LayerCost
from snncc.execute.native.engine import NativeEngine
from snncc.execute.native.program import Layer, Step, Term
from snncc.names import safe_name

REPEATS = 5


def dense_rate(threads: int) -> float:
    """Multiply-accumulates per second of torch's dense 3x3 convolution, 64 channels, 32 x 32, float32: the best."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    x, w = torch.ones(16, 64, 32, 32), torch.ones(64, 64, 3, 3)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        torch.nn.functional.conv2d(x, w, padding=1)
        best = min(best, time.perf_counter() - began)
    torch.set_num_threads(before)
    return x.numel() * 64 * 9 / best


def layer_costs(engine: NativeEngine) -> tuple[LayerCost, ...]:
    """The table of an engine's steps since it was made."""
    dense = dense_rate(engine.threads)
    found = []
    for number, (step, seconds) in enumerate(zip(engine.program.steps, engine.seconds.tolist(), strict=True)):
        terms = step.terms if isinstance(step, Layer) else ()
        operations = sum(term_operations(engine, term, step) for term in terms)
        entries = sum(engine.entries * term.source.grid.pixels * term.source.grid.channels for term in terms)
        events = sum(float(engine.events(term.source).sum()) for term in terms)
        rate = operations / seconds if seconds else 0.0
        found.append(
            LayerCost(
                layer=safe_name(step.out.node.name),
                kernel=kernel_of(step, engine.tiles[number].tolist(), engine.source.dense_from[number]),
                density=events / entries if entries else None,
                synaptic_operations=operations,
                seconds=seconds,
                rate=rate,
                share=rate / dense,
            )
        )
    for name, seconds in engine.outside.items():
        cost = LayerCost(
            layer=safe_name(name),
            kernel="torch",
            density=None,
            synaptic_operations=0.0,
            seconds=seconds,
            rate=0.0,
            share=0.0,
        )
        found.append(cost)
    return tuple(found)


def kernel_of(step: Step, tiles: Sequence[int], shares: Sequence[float | None]) -> str:
    """What computes a step, from its tiles by events and dense ones; from which density on tiles are dense."""
    if not isinstance(step, Layer):
        return type(step).__name__.lower()
    words, dense = [], tiles[1] / max(1, sum(tiles))
    route = "dense" if dense == 1 else f"{dense:.0%} dense" if dense else "events"
    limits = iter(shares)
    for term in step.terms:
        kernel = "x".join(map(str, term.kernel))
        shape = f"{kernel}, {term.source.grid.channels} to {step.out.grid.channels}"
        if term.diagonal:
            words.append(f"depthwise {shape}")
        elif (limit := next(limits)) is None:
            words.append(f"scattered {shape}")
        else:
            words.append(f"{route} {shape} (dense from {min(1.0, max(0.0, limit)):.0%})")
    return " + ".join(words) or "neurons"


def term_operations(engine: NativeEngine, term: Term, step: Step) -> float:
    """Additions of weights: every event times the outputs that it reaches, borders counted as they are."""
    events = engine.events(term.source)
    reached = np.ones((term.source.grid.height, term.source.grid.width))
    for axis, (size, out) in enumerate(
        ((term.source.grid.height, step.out.grid.height), (term.source.grid.width, step.out.grid.width))
    ):
        taps = np.arange(out)[:, None] * term.stride[axis] + np.arange(term.kernel[axis]) * term.dilation[axis]
        at = (taps - term.padding[axis]).reshape(-1)
        hits = np.bincount(at[(at >= 0) & (at < size)], minlength=size)
        reached = reached * (hits[:, None] if axis == 0 else hits[None, :])
    weights = 1 if term.diagonal else step.out.grid.channels
    return float((events.sum(-1).reshape(reached.shape) * reached).sum()) * weights
