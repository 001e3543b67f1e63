# SPDX-License-Identifier: Apache-2.0
"""A network of two layers for tests of passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from small_models import Case, dataset, lowered, normal, parsed

TWO_LAYERS = """
g (float[N, 2, 6, 6] x) => (float[N, 5] y) {
  c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, w, b) r = Relu(c)
  f = Flatten(r) h = Gemm(f, v, e) s = Relu(h) y = Gemm(s, u, d)
}
"""


def two_layers(timesteps: int = 8, samples: int = 96, graph: str = TWO_LAYERS) -> Case:
    weights = {
        "w": normal(1, 3, 2, 3, 3) / 3,
        "b": normal(2, 3) / 2,
        "v": normal(3, 108, 16) / 10,
        "e": normal(4, 16) / 4,
        "u": normal(5, 16, 5) / 3,
        "d": normal(6, 5),
    }
    return lowered(parsed(graph, **weights), dataset(x=normal(7, samples, 2, 6, 6)), timesteps=timesteps)


def ann(made: Case, name: str) -> np.ndarray:
    return made.context.values.run(made.context.calibration.inputs, [name])[name].astype(np.float64)


def msat(made: Case, **options: Any) -> None:
    for name in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
        made.apply(name)
    made.apply("select_multistage_neuron", **options)
    made.apply("balance_thresholds", reduce="max")
    made.apply("initialize_membrane", fraction=0.0)
