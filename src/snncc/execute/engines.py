# SPDX-License-Identifier: Apache-2.0
"""Which executor runs a bundle: the one place that knows the engines of `simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from snncc.errors import UsageError
from snncc.execute.executors import ReferenceExecutor, TorchExecutor, refuse_missing_device

if TYPE_CHECKING:
    from snncc.bundle import Bundle
    from snncc.simulation import Executor

EngineName = Literal["torch", "reference", "onnx", "integer"]


def executor(engine: EngineName, opened: Bundle, *, device: str, steps: int) -> Executor:
    """The executor of a bundle's network; `steps`: how many steps it may hold at once.

    Raises UsageError for a device that is not there, EmitError for a network that the engine's format can't say.
    """
    if engine == "reference":
        return ReferenceExecutor(opened.network)
    if engine == "onnx":
        from snncc.execute.onnx_executor import OnnxExecutor

        if device != "cpu":
            raise UsageError(f"--engine onnx runs on the CPU, not on {device}", cure="use --device cpu")
        return OnnxExecutor(opened.network)
    refuse_missing_device(device)
    if engine == "integer":
        from snncc.integer.beside import Beside
        from snncc.integer.executor import IntegerExecutor
        from snncc.integer.files import integer_network

        floats = TorchExecutor(opened.network, device=device, steps=steps)
        integer = IntegerExecutor(integer_network(opened), device=device, steps=steps)
        return Beside(integer, floats, opened.network)
    return TorchExecutor(opened.network, device=device, steps=steps)
