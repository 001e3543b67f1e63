# SPDX-License-Identifier: Apache-2.0
"""The base of the nodes of the intermediate representation.

A node computes one value and is named after it; the name is the value's name in the ONNX file. A node is frozen
data: arrays are referred to by name and live in `Network.arrays`. `call()` names the pure function that evaluates
the node (the same name in `functions.torch.ops` and `functions.numpy.ops`), its arrays and its options.

`shape` is the full shape for one sample; `batch` is the axis that carries the samples, or None. The extent of that
axis is the number of entries *per sample* (1, unless the graph merged another axis into it), sample-major.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

Ints = tuple[int, ...]
#: An attribute of an `Operator`: plain data, so that a network is plain data.
Attribute = int | float | str | bool | tuple[int | float | str | bool, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a node is evaluated: `function(*inputs, *arrays, **options)`."""

    function: str
    arrays: tuple[str | None, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    #: The function adds constants and takes `offset`, their multiplier at this step.
    offset: bool = False


class Node(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """A value and how it is computed from other values."""

    name: str
    inputs: tuple[str, ...] = ()
    shape: Ints
    batch: int | None
    dtype: str = "float32"

    #: Sets of input positions in which the node is jointly linear, the other inputs being static.
    LINEAR: ClassVar[tuple[Ints, ...]] = ()
    #: Fields that hold names of arrays.
    ARRAYS: ClassVar[tuple[str, ...]] = ()

    def linear_in(self) -> tuple[Ints, ...]:
        """The sets of inputs in which the node is jointly linear (up to constants that it adds)."""
        return self.LINEAR

    def call(self) -> Call:
        """The function that evaluates the node."""
        raise TypeError(f"{type(self).__name__} keeps state or is a source; executors treat it themselves")

    def array_names(self) -> tuple[str, ...]:
        """The arrays the node refers to."""
        return tuple(name for f in self.ARRAYS if (name := getattr(self, f)) is not None)
