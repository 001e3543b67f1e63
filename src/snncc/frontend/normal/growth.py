# SPDX-License-Identifier: Apache-2.0
"""Which axis of a value grows with the number of samples: found by simplifying the graph for several of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import onnx
import onnx_ir as ir

from snncc.errors import UnreadableModel
from snncc.frontend.normal.normalize import SOURCE, normalize
from snncc.frontend.normal.shapes import known_shape

SAMPLES = 3


def shapes(model: ir.Model) -> dict[str, tuple[int, ...]]:
    """The shapes of values that are wholly known."""
    found = {str(value.name): known_shape(value) for node in model.graph for value in node.outputs if value.name}
    return {name: shape for name, shape in found.items() if shape is not None}


def growth(model: ir.Model) -> Callable[[str], int | None]:
    """Of a normal form: the axis of a value that has SAMPLES times its extent for as many samples; None: no one axis.

    The graph is simplified anew at the first question only. A graph that is made for one sample has no answers.
    """
    source = model.meta.get(SOURCE)

    @cache
    def several() -> dict[str, tuple[int, ...]]:
        if not isinstance(source, onnx.ModelProto):
            return {}
        try:
            return shapes(normalize(source, samples=SAMPLES))
        except UnreadableModel:
            return {}

    @cache
    def single() -> dict[str, tuple[int, ...]]:
        return shapes(model)

    def grows(name: str) -> int | None:
        one, many = single().get(name), several().get(name)
        if one is None or many is None or len(one) != len(many):
            return None
        axes = [i for i, (a, b) in enumerate(zip(one, many, strict=True)) if a != b]
        return axes[0] if len(axes) == 1 and many[axes[0]] == SAMPLES * one[axes[0]] else None

    return grows
