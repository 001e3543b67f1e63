# SPDX-License-Identifier: Apache-2.0
"""No pass approximates in silence: each approximation has its line in report.json, with the pass that made it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from quantized_models import quantized_model
from small_models import dataset, normal, parsed
from snncc import api
from snncc.recipe import PassEntry, Recipe, load_method
from snncc.transform import TRANSFORMS

TEXT = """g (float[N,2,6,6] x) => (float[] y) {
    c = Conv<pads=[1,1,1,1]>(x, w)  r = Relu(c)  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
    s = Sign(p)  e = Mul(s, p)  f = Flatten(e)  h = Gemm(f, v)  q = Relu(h)  n = BatchNormalization(q, g, b, m, u)
    y = Gemm(n, z)
}"""
ARRAYS = {
    "w": normal(1, 3, 2, 3, 3) / 3, "v": normal(2, 27, 6), "z": normal(3, 6, 4), "g": normal(4, 6), "b": normal(5, 6),
    "m": normal(6, 6), "u": np.abs(normal(7, 6)) + 1,
}  # fmt: skip
X = np.abs(normal(8, 12, 2, 6, 6))
DEAD = {**ARRAYS, "v": np.where(np.arange(6) == 2, -9, np.abs(ARRAYS["v"]))}


def lines(passes: list[PassEntry], arrays: dict[str, np.ndarray] = ARRAYS) -> list[dict[str, Any]]:
    """The notes of report.json for a recipe."""
    torch.set_num_threads(1)
    recipe = Recipe(name="walk", source="test", summary="A walk.", passes=tuple(passes))
    import msgspec
    import tempfile
    from pathlib import Path

    raise NotImplementedError(recipe, msgspec, tempfile, Path)
