# SPDX-License-Identifier: Apache-2.0
"""The native engine behind the executor protocol; the torch engine, with a notice, where it cannot run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from snncc.execute.native.build import CompileError
from snncc.execute.native.centred import without_rests
from snncc.execute.native.engine import NativeEngine
from snncc.execute.native.program import NumberType, UnsupportedNode
from snncc.execute.native.routes import Route
from snncc.integer.executor import IntegerExecutor, as_floats, exact_type
from snncc.integer.network import IntegerNetwork
from snncc.ir.network import Array, Network

if TYPE_CHECKING:
    import torch

    from snncc.execute.native.cost import LayerCost
    from snncc.simulation import Counted, Executor


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
        events, self.longest = without_rests(network)
        self.engine = NativeEngine(events, dtype=dtype, threads=threads, route=route, around=around)
        self.steps = steps
        self.network = network
        self.beyond: Executor | None = None

    def run(
        self, feeds: Mapping[str, Array], timesteps: int, checkpoints: Sequence[int], *, first_sample: int = 0
    ) -> Counted:
        """Simulate one batch; beyond the T that centred neurons are made for, in torch."""
        from snncc.simulation import Counted

        if self.longest is not None and timesteps > self.longest:
            return self.in_torch(timesteps).run(feeds, timesteps, checkpoints, first_sample=first_sample)
        result = self.engine.run(
            feeds, timesteps, checkpoints=checkpoints, steps_at_once=self.steps, first_sample=first_sample
        )
        return Counted(
            outputs={name: y.numpy() for name, y in result.outputs.items()},
            events={name: a.events.numpy() for name, a in result.activity.items()},
            positive=sum(a.positive for a in result.activity.values()),
            negative=sum(a.negative for a in result.activity.values()),
            clamped=result.clamps,
        )

    def in_torch(self, timesteps: int) -> Executor:
        """The torch engine, with a notice when it is first needed."""
        from snncc.execute.executors import TorchExecutor

        if self.beyond is None:
            reason = f"T={timesteps} is beyond T={self.longest}, which the centred neurons are made for"
            fall_back("native", reason)
            self.beyond = TorchExecutor(self.network, device="cpu", steps=self.steps)
        return self.beyond

    def costs(self) -> tuple[LayerCost, ...]:
        """What each step of the program has cost so far."""
        from snncc.execute.native.profile import layer_costs

        return layer_costs(self.engine)


class NativeIntegers(IntegerExecutor):
    """An integer network whose spikes the generated C computes, in whole numbers."""

    def __init__(
        self, integer: IntegerNetwork, *, steps: int, threads: int | None = None, route: Route = "auto"
    ) -> None:
        super().__init__(integer, device="cpu", steps=steps)
        around = exact_type(integer.network, integer.max_timesteps, "cpu")
        self.native = NativeExecutor(
            as_floats(self.spiking), steps=steps, dtype="int32", threads=threads, route=route, around=around
        )

    def spikes(self, timesteps: int) -> Executor:
        """What computes the spikes."""
        return self.native


def native_executor(network: Network, *, steps: int) -> Executor:
    """The native engine for a network, or the torch engine with an `EngineNotice` that says why."""
    try:
        return NativeExecutor(network, steps=steps)
    except (UnsupportedNode, CompileError) as error:
        from snncc.execute.executors import TorchExecutor

        fall_back("native", error)
        return TorchExecutor(network, device="cpu", steps=steps)


def native_integers(integer: IntegerNetwork, *, steps: int) -> IntegerExecutor:
    """The same for an integer network."""
    try:
        return NativeIntegers(integer, steps=steps)
    except (UnsupportedNode, CompileError) as error:
        fall_back("native-integer", error)
        return IntegerExecutor(integer, device="cpu", steps=steps)


def fall_back(engine: str, error: Exception | str) -> None:
    """Say which engine does not run, and why."""
    warnings.warn(f"--engine {engine}: {error}; the torch engine runs instead", EngineNotice, stacklevel=3)
