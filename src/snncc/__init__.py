# SPDX-License-Identifier: Apache-2.0
"""snncc: a compiler from trained ANNs (ONNX) to spiking networks.

import snncc
snncc.convert("model.onnx", method="dnisnm", calib="calibration.npz")
snncc.simulate("model.snn", timesteps=8)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snncc.api import batch, check, convert, convert_torch, load, simulate

__version__ = "0.1.0"
__all__ = ["batch", "check", "convert", "convert_torch", "load", "simulate"]


def __getattr__(name: str) -> Any:
    """The functions of `snncc.api`, imported when they are first used (torch takes seconds)."""
    if name in __all__:
        from snncc import api

        return getattr(api, name)
    raise AttributeError(f"module 'snncc' has no attribute {name!r}")
