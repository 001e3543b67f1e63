# SPDX-License-Identifier: Apache-2.0
"""Which executor runs a bundle: the one place that knows the engines of `simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from snncc.execute.executors import ReferenceExecutor, TorchExecutor, refuse_missing_device

if TYPE_CHECKING:
    from snncc.bundle import Bundle
    from snncc.simulation import Executor

EngineName = Literal["torch", "reference"]


def executor(engine: EngineName, opened: Bundle, *, device: str, steps: int) -> Executor:
    """The executor of a bundle's network; `steps`: how many steps it may hold at once.

    Raises UsageError for a device that is not there.
    """
    if engine == "reference":
        return ReferenceExecutor(opened.network)
    refuse_missing_device(device)
    return TorchExecutor(opened.network, device=device, steps=steps)
