# SPDX-License-Identifier: Apache-2.0
"""snncc: a compiler from trained ANNs (ONNX) to spiking networks.

import snncc
snncc.convert("model.onnx", method="dnisnm", calib="calibration.npz")
snncc.simulate("model.snn", timesteps=8)

Verbs: check, convert, convert_torch, load, simulate, report, compare, emit, finetune, batch.
Types: Recipe, Dataset, Preprocessing, Bundle, SnnccError.
To add something of your own (docs/extend.md): snncc.neurons, snncc.transform, snncc.targets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from snncc.errors import SnnccError

if TYPE_CHECKING:
    from snncc.api import (
        batch,
        check,
        compare,
        convert,
        convert_torch,
        emit,
        finetune,
        load,
        report,
        simulate,
    )
    from snncc.bundles import targets
    from snncc.bundles.bundle import Bundle
    from snncc.conversion.recipe import Recipe
    from snncc.data.dataset import Dataset, Preprocessing

__version__ = "0.1.0"
__all__ = [
    "Bundle",
    "Dataset",
    "Preprocessing",
    "Recipe",
    "SnnccError",
    "batch",
    "check",
    "compare",
    "convert",
    "convert_torch",
    "emit",
    "finetune",
    "load",
    "report",
    "simulate",
    "targets",
]
#: Where names lie that are no verbs.
_PLACES = {
    "Bundle": "snncc.bundles.bundle",
    "Dataset": "snncc.data.dataset",
    "Preprocessing": "snncc.data.dataset",
    "Recipe": "snncc.conversion.recipe",
}


def __getattr__(name: str) -> Any:
    """Verbs and types, imported when they are first used (torch takes seconds)."""
    if name not in __all__:
        raise AttributeError(f"module 'snncc' has no attribute {name!r}")
    if name == "targets":
        return import_module("snncc.bundles.targets")
    return getattr(import_module(_PLACES.get(name, "snncc.api")), name)


def __dir__() -> list[str]:
    """What the module offers, imported already or not."""
    return sorted({*globals(), *__all__})
