# SPDX-License-Identifier: Apache-2.0
"""What a target makes of a spiking network: the one place that knows the targets of `convert` and `emit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from snncc.backends.torch_module import emit as torch_source
from snncc.data import Dataset
from snncc.errors import EmitError
from snncc.execute.ann import Truth
from snncc.ir.network import Network

Target = Literal["torch", "integer", "onnx", "nir"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is emitted: a network, what it is called, and the samples and the ANN that it is compared on."""

    network: Network
    name: str
    method: str
    timesteps: int
    samples: Dataset
    truth: Truth


@dataclass(frozen=True, kw_only=True)
class EmitOptions:
    """The options of all targets."""


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """Files by their path in the bundle, and what the user must be told."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def emit_files(target: Target, source: Source, options: EmitOptions) -> Emitted:
    """The files of a target; those of `torch` are part of every bundle. Raises EmitError for what it can't say."""
    network = source.network
    if target == "torch":
        title = f"{source.name} by {source.method}, design T {source.timesteps}"
        text = torch_source(network, title=title, timesteps=source.timesteps)
        return Emitted(files={"model.py": text.encode()})
    raise EmitError(f"there is no target {target!r}", cure="emit torch")
