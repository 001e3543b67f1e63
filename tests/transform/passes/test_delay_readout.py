# SPDX-License-Identifier: Apache-2.0
"""The pass `delay_readout`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from two_layers import TWO_LAYERS, two_layers

from snncc.backends.torch.module import emit
from snncc.bundles.bundle import network_bytes
from snncc.errors import RecipeError
from snncc.execute.executors import ReferenceExecutor
from snncc.execute.torch.engine import Engine
from snncc.ir.text import to_text


def test_delayed_readout(tmp_path: Path) -> None:
    made = two_layers(timesteps=8, samples=12)
    made.spiking(kind="if")
    made.apply("balance_thresholds", reduce="max")
    net = made.apply("initialize_membrane", fraction=0.5)
    assert made.apply("delay_readout") is net
    feeds = made.context.calibration.inputs
    points = (1, 2, 3, 5, 8)
    plain = Engine(net).run(feeds, 8, checkpoints=points).outputs["y"].double().numpy()
    late = made.apply("delay_readout", steps=3)
    assert "readout_after=3" in to_text(late)
    sums = {t: t * y for t, y in zip(points, plain, strict=True)}
    wanted = np.stack([plain[0], plain[1], plain[2], (sums[5] - sums[3]) / 2, (sums[8] - sums[3]) / 5])
    for pieces in (None, 1, 2, 3, 4):
        found = Engine(late).run(feeds, 8, checkpoints=points, steps_at_once=pieces).outputs["y"]
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)
    outputs = ReferenceExecutor(late).run(feeds, 8, points).outputs["y"]
    np.testing.assert_allclose(outputs, wanted, atol=1e-4)
    module: dict[str, Any] = {"__name__": "model"}
    exec(emit(late, title="late", timesteps=8), module)
    (tmp_path / "weights.safetensors").write_bytes(network_bytes(late)[1])
    emitted = module["SpikingNetwork"](tmp_path / "weights.safetensors")
    for steps, at in ((2, 1), (3, 2), (5, 3), (8, 4)):
        y = emitted(torch.from_numpy(feeds["x"]), timesteps=steps)
        np.testing.assert_allclose(y.numpy(), wanted[at], atol=1e-4)


def test_readout_that_cannot_be_delayed() -> None:
    made = two_layers(graph=TWO_LAYERS.replace("y = Gemm(s, u, d)", "z = Gemm(s, u, d) y = Softmax(z)"))
    made.spiking(kind="if")
    with pytest.raises(RecipeError, match="mean of all steps"):
        made.apply("delay_readout", steps=2)
