# SPDX-License-Identifier: Apache-2.0
"""A network with a ReLU, a leaky ReLU and a clip for tests of passes."""

from __future__ import annotations

import numpy as np

from small_models import normal
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron

X = normal(0, 40, 3, 4, 5)


TEXT = """g (float[N,3,4,5] x) => (float[] y) {
    c1 = Conv<pads=[1,1,1,1]>(x, w, b)  r1 = Relu(c1)
    c2 = Conv(r1, w2)  r2 = LeakyRelu<alpha=0.25>(c2)
    r3 = Clip(r2, zero, six)
    f = Flatten(r3)  y = Gemm(f, w3)
}"""


WEIGHTS = {
    "w": normal(1, 4, 3, 3, 3) / 4,
    "b": np.float32([0, 0.2, -0.1, -100]),  # the last channel never fires
    "w2": normal(2, 2, 4, 2, 2) / 3,
    "w3": normal(3, 24, 3),
    "zero": np.float32(0),
    "six": np.float32(0.3),
}


def neurons(net: Network) -> dict[str, Neuron]:
    return {n.name: n for n in net.nodes if isinstance(n, Neuron)}
