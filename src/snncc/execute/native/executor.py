# SPDX-License-Identifier: Apache-2.0
"""The native engine behind the executor protocol; the torch engine, with a notice, where it cannot run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch

from snncc.execute.executors import TorchExecutor, counts_of
from snncc.execute.native.cost import LayerCost
from snncc.execute.native.engine import NativeEngine
from snncc.execute.native.profile import layer_costs
from snncc.execute.native.program import NumberType, Route, UnsupportedNode
from snncc.execute.protocol import Counted, Executor, Undecided
from snncc.functions.compiled import CompileError
from snncc.ir.network import Array, Network


class EngineNotice(UserWarning):
    """Another engine runs than the one that was asked for."""


class NativeExecutor:
    """`execute.native.engine`; raises UnsupportedNode and CompileError."""

    def __init__(
        self,
        network: Network,
        *,
        steps: int,
        dtype: NumberType = "float32",
        threads: int | None = None,
        route: Route = "auto",
        around: torch.dtype | None = None,
    ) -> None:
        self.engine = NativeEngine(network, dtype=dtype, threads=threads, route=route, around=around)
        self.steps = steps

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch."""
        result = self.engine.run(
            feeds, timesteps, checkpoints=checkpoints, steps_at_once=self.steps, first_sample=first_sample
        )
        return counts_of(result)

    def run_early(
        self, feeds: Mapping[str, Array], timesteps: int, undecided: Undecided, *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch whose samples leave when they are decided."""
        return counts_of(self.engine.run(feeds, timesteps, first_sample=first_sample, undecided=undecided))

    def costs(self) -> tuple[LayerCost, ...]:
        """What each step of the program has cost so far."""
        return layer_costs(self.engine)


def native_executor(network: Network, *, steps: int) -> Executor:
    """The native engine for a network, or torch for nodes or the whole of it with an `EngineNotice` that says why."""
    try:
        executor = NativeExecutor(network, steps=steps)
        program = executor.engine.program
        if program.outside:
            notice = f"--engine native: {program.reason}; torch computes {len(program.outside)} nodes, the C the others"
            warnings.warn(notice, EngineNotice, stacklevel=2)
        return executor
    except (UnsupportedNode, CompileError) as error:
        fall_back("native", error)
        return TorchExecutor(network, device="cpu", steps=steps)


def fall_back(engine: str, error: Exception | str) -> None:
    """Say which engine does not run, and why."""
    warnings.warn(f"--engine {engine}: {error}; the torch engine runs instead", EngineNotice, stacklevel=3)
