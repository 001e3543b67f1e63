# SPDX-License-Identifier: Apache-2.0
"""The examples `vit` and `lstm`: what must be on events is, and the accuracy is that of the READMEs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snncc import api
from snncc.execute.torch_engine import Engine
from snncc.ir.classes import operations, shares
from snncc.ir.nodes import Linear

EXAMPLES = Path(__file__).parents[1] / "examples"
#: Share of multiply-accumulates on spikes, accuracy at T = 8.
EXPECTED = {"vit": (1.0, 0.9689), "lstm": (0.206, 0.96)}


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    torch.set_num_threads(1)
    share, accuracy = EXPECTED[name]
    network = api.convert(EXAMPLES / name / f"{name}.onnx", method="transformer", write=False).network
    counts = operations(network)
    assert counts["input"] == counts["graded"] == 0
    assert shares(counts)["spikes"] >= share - 0.001
    assert sum(isinstance(node, Linear) for node in network.nodes) >= 2
    data = np.load(EXAMPLES / name / f"{name}.npz")
    found = Engine(network).run({"image": data["x"]}, 8, count=False).outputs["logits"][0].argmax(-1).numpy()
    assert abs(float((found == data["y"]).mean()) - accuracy) <= 2.5 / len(data["y"])
    readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert f"{100 * accuracy:.2f} %" in readme
