# SPDX-License-Identifier: Apache-2.0
"""A network of a few nodes for tests of rewriting passes."""

from __future__ import annotations

import numpy as np

from small_models import Case, dataset, lowered, parsed
from snncc.ir.network import Network


def kinds(net: Network) -> list[str]:
    return [type(n).__name__ for n in net.nodes if n.inputs]


def one(text: str, x: np.ndarray, **weights: np.ndarray) -> Case:
    shape = ",".join(map(str, x.shape[1:]))
    return lowered(parsed(f"g (float[N,{shape}] x) => (float[] y) {{ {text} }}", **weights), dataset(x=x))
