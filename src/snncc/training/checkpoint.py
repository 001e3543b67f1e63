# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training run: tensors as safetensors, the rest as JSON, whose renaming completes one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from snncc.bundles.output import write_synced
from snncc.errors import UsageError
from snncc.training.settings import Settings

LAST = "last.json"


class Epoch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one epoch measured. Fractions 0 ... 1; validation accuracy None without such data."""

    epoch: int
    lr: float
    loss: float
    accuracy: float
    validation: float | None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`last.json`: the run, its epochs so far, and the file of tensors with its sha256."""

    settings: Settings
    model_sha256: str
    data_sha256: str
    history: tuple[Epoch, ...]
    tensors: str
    tensors_sha256: str


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter number and key."""
    state: Mapping[int, Mapping[str, Any]] = optimizer.state_dict()["state"]
    found = {}
    for index, entries in state.items():
        for key, value in entries.items():
            if value is not None:
                found[f"optimizer/{index}/{key}"] = torch.as_tensor(value)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    document = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = tensor
    document["state"] = state
    optimizer.load_state_dict(document)


def save(folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, *, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint; an interruption at any time leaves the one before intact."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model/{k}": v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    tensors |= {k: v.detach().cpu().contiguous() for k, v in optimizer_tensors(optimizer).items()}
    data = safetensors.torch.save(tensors)
    name = f"epoch-{len(checkpoint['history']):05d}.safetensors"
    write_synced(folder / name, data)
    document = Checkpoint(**checkpoint, tensors=name, tensors_sha256=hashlib.sha256(data).hexdigest())
    partial = folder / f"{LAST}.partial"
    write_synced(partial, msgspec.json.format(msgspec.json.encode(document), indent=1))
    partial.replace(folder / LAST)
    for old in folder.glob("epoch-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path) -> tuple[Checkpoint, dict[str, Tensor]]:
    """The last complete checkpoint; raises UsageError where there is none that can be read."""
    path = folder / LAST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
        if Path(found.tensors).name != found.tensors:
            raise UsageError(f"{path.name} names a file elsewhere", cure="train without --resume")
        data = (folder / found.tensors).read_bytes()
        if hashlib.sha256(data).hexdigest() != found.tensors_sha256:
            raise UsageError(f"{found.tensors} was changed", cure="train without --resume")
        return found, safetensors.torch.load(data)
    except (OSError, msgspec.DecodeError, safetensors.SafetensorError) as error:
        raise UsageError(
            f"there is no checkpoint in {folder.name} to resume: {error}", cure="train without --resume"
        ) from None


def restore(module: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's tensors in place."""
    module.load_state_dict({k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")})
    restore_optimizer(optimizer, tensors)
