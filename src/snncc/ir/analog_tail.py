# SPDX-License-Identifier: Apache-2.0
"""What stands behind the network and is no part of it: operators whose results change their shape with the data."""

from __future__ import annotations

import msgspec


class AnalogTail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An ONNX model that onnxruntime evaluates on the network's outputs at read-out, one sample at a time.

    `inputs`: the outputs of the network that it reads; `outputs`: what it computes; `starts`: the operators that it
    begins with; `operators`: how many it has; `weights`: how many weights, each of them a multiply-accumulate or more;
    `model`: the array that holds the serialized model.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    starts: tuple[str, ...]
    operators: int
    weights: int
    model: str = "analog_tail"

    def __str__(self) -> str:
        more = self.operators - len(self.starts)
        return ", ".join(self.starts) + (f" and {more} more operators" if more > 0 else "")
