# SPDX-License-Identifier: Apache-2.0
"""Each post-training method on one small network with a residual sum: its text, as reviewed, in tests/golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_models import dataset, lowered, normal, parsed, ran
from snncc.conversion import recipe
from snncc.ir.text import to_text

GOLDEN = Path(__file__).parent / "golden"
METHODS = ("rate", "rmp", "opi", "burst", "dnisnm", "calibration", "ltb", "chen", "msat", "matched")
GRAPH = """
g (float[N, 2, 6, 6] x) => (float[N, 5] y) {
  c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, w, b) r = Relu(c)
  p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r) k = Conv <kernel_shape=[1,1]> (p, k1)
  a = Add(k, p) s = Relu(a) f = Flatten(s) y = Gemm(f, v, d)
}
"""


def text(method: str) -> str:
    """The network's text, the records' notes below it."""
    weights = {"w": normal(1, 4, 2, 3, 3), "b": normal(2, 4), "k1": normal(3, 4, 4, 1, 1) / 2, "v": normal(4, 36, 5)}
    case = lowered(parsed(GRAPH, **weights, d=np.zeros(5)), dataset(x=normal(5, 64, 2, 6, 6)))
    outcome = ran(
        case.network,
        recipe.steps(recipe.load_method(method)),
        truth=case.truth,
        calibration=case.context.calibration,
        timesteps=8,
        seed=0,
    )
    notes = [f"{r.name}: {n.kind} {n.node}: {n.text}" for r in outcome.records for n in r.notes]
    return "\n".join([to_text(outcome.network), *notes, ""])


@pytest.mark.parametrize("method", METHODS)
def test_the_network_of_each_method(method: str) -> None:
    path = GOLDEN / f"{method}.txt"
    assert text(method) == path.read_text()


@pytest.mark.parametrize("method", ["chen", "msat"])
def test_the_record_names_the_baselines(method: str) -> None:
    assert "rmp" in (GOLDEN / f"{method}.txt").read_text()
