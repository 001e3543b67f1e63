# SPDX-License-Identifier: Apache-2.0
"""The native engine for integer networks; torch, with a notice, where it cannot run."""

from __future__ import annotations

from snncc.execute.native.executor import NativeExecutor, fall_back
from snncc.execute.native.program import Route, UnsupportedNode
from snncc.execute.protocol import EarlyExecutor
from snncc.functions.compiled import CompileError
from snncc.integer.executor import IntegerExecutor, as_floats, exact_type
from snncc.integer.network import IntegerNetwork


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

    def spikes(self, timesteps: int) -> EarlyExecutor:
        """What computes the spikes."""
        return self.native


def native_integers(integer: IntegerNetwork, *, steps: int) -> IntegerExecutor:
    """The native engine for an integer network, or torch with an `EngineNotice` that says why."""
    try:
        return NativeIntegers(integer, steps=steps)
    except (UnsupportedNode, CompileError) as error:
        fall_back("native-integer", error)
        return IntegerExecutor(integer, device="cpu", steps=steps)
