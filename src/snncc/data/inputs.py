# SPDX-License-Identifier: Apache-2.0
"""What a graph expects of its inputs, and which arrays fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of the graph: its name, its shape (None where an extent is free) and its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Compare `shape`, of samples stacked on axis 0, with the spec; axis 0 itself is free. Raises DataError."""
        if len(shape) != len(self.shape):
            raise DataError(
                f"input {self.name!r}: expected {len(self.shape)} axes {shown(self.shape)} with the samples on axis 0, "
                f"given {len(shape)} axes {shown(shape)}"
            )
        if any(want not in (None, have) for want, have in zip(self.shape[1:], shape[1:], strict=True)):
            raise DataError(
                f"input {self.name!r}: expected shape {shown(self.shape)}, given {shown(shape)}",
                cure="reshape the data; --layout moves the channels of images",
            )

    def cast(self, array: np.ndarray) -> np.ndarray:
        """Return `array` in the dtype of the input; only casts that keep the meaning are done.

        Floats become floats of another width, integers become floats or integers that hold them.
        Raises DataError for any other dtype, for integers that do not fit and for NaN.
        """
        given, wanted = array.dtype, self.dtype
        if wanted.kind == "O":
            allowed = given.kind in "OUS"
        elif wanted.kind in "iu":
            allowed = given.kind in "iub"
        else:  # bool, or a float; ml_dtypes (bfloat16, ...) are kind V
            allowed = given.kind == "b" or (wanted.kind != "b" and (given.kind in "iuf" or given == wanted))
        if not allowed:
            raise DataError(f"input {self.name!r}: expected {wanted}, given {given}")
        with np.errstate(over="ignore"):
            result = array.astype(wanted, copy=False)
        if wanted.kind in "iu" and not np.array_equal(result, array):
            raise DataError(f"input {self.name!r}: values in {given} do not fit the expected {wanted}")
        if wanted.kind in "fV":
            if np.isnan(result).any():
                raise DataError(f"input {self.name!r}: contains NaN", cure="remove or repair those samples")
            if result is not array and np.isinf(result).any() and not np.isinf(array).any():
                raise DataError(f"input {self.name!r}: values in {given} exceed the range of the expected {wanted}")
        return result


def shown(shape: Sequence[int | None]) -> str:
    """A shape for messages, with ? for a free extent."""
    return "[" + ", ".join("?" if extent is None else str(extent) for extent in shape) + "]"
