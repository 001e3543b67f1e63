# SPDX-License-Identifier: Apache-2.0
"""Which executor runs a bundle: the one place that knows the engines of `simulate`."""

from __future__ import annotations

from typing import Literal

from snncc.bundles.bundle import Bundle
from snncc.bundles.integer_files import integer_network
from snncc.errors import UsageError
from snncc.execute.executors import ReferenceExecutor, TorchExecutor, refuse_missing_device
from snncc.execute.native.executor import native_executor
from snncc.execute.onnx.executor import OnnxExecutor
from snncc.execute.protocol import Executor
from snncc.integer.executor import IntegerExecutor
from snncc.integer.native import native_integers
from snncc.simulation.paired import PairedExecutor

EngineName = Literal["torch", "reference", "onnx", "integer", "native", "native-integer"]


def executor(engine: EngineName, opened: Bundle, *, device: str, steps: int) -> Executor:
    """The executor of a bundle's network; `steps`: how many steps it may hold at once.

    Raises UsageError for a device that is not there, EmitError for a network that the engine's format can't say.
    """
    if engine == "reference":
        return ReferenceExecutor(opened.network)
    if engine == "onnx":
        if device != "cpu":
            raise UsageError(f"--engine onnx runs on the CPU, not on {device}", cure="use --device cpu")
        return OnnxExecutor(opened.network)
    if engine in ("native", "native-integer") and device != "cpu":
        raise UsageError(f"--engine {engine} runs on the CPU, not on {device}", cure="use --device cpu")
    if engine == "native":
        return native_executor(opened.network, steps=steps)
    refuse_missing_device(device)
    if engine in ("integer", "native-integer"):
        floats = TorchExecutor(opened.network, device=device, steps=steps)
        lowered = integer_network(opened)
        integer = IntegerExecutor(lowered, device=device, steps=steps)
        if engine == "native-integer":
            integer = native_integers(lowered, steps=steps)
        return PairedExecutor(integer, floats, opened.network)
    return TorchExecutor(opened.network, device=device, steps=steps)
