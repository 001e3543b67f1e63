# SPDX-License-Identifier: Apache-2.0
"""The integer network as the report shows it."""

from __future__ import annotations

import msgspec

from snncc.integer.inputs import InputScale
from snncc.integer.network import IntegerNetwork
from snncc.integer.widths import Width


class IntegerPart(msgspec.Struct, frozen=True, kw_only=True):
    """The integer network that a bundle holds. weight_bytes: of all its arrays in weights.safetensors."""

    weights: str
    max_timesteps: int
    input: InputScale
    weight_bytes: int
    widths: tuple[Width, ...]


def integer_part(integer: IntegerNetwork) -> IntegerPart:
    """What the report says of an integer network."""
    return IntegerPart(
        weights=integer.weights,
        max_timesteps=integer.max_timesteps,
        input=integer.input,
        weight_bytes=sum(a.nbytes for a in integer.network.arrays.values()),
        widths=integer.widths,
    )
