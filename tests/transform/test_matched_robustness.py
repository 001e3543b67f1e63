# SPDX-License-Identifier: Apache-2.0
"""The default recipe on calibration data that is scarce, plentiful, dead, heavy-tailed or preprocessed otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from small_models import dataset, lowered, normal, parsed, ran
from snncc.ann.truth import Truth
from snncc.conversion import recipe
from snncc.data.dataset import Dataset
from snncc.execute.torch.engine import Engine
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Network

GRAPH = """
g (float[N, 3, 6, 6] x) => (float[N, 6] y) {
  a = Conv <pads=[1,1,1,1]> (x, w1, b1) r = Relu(a) c = Conv <pads=[1,1,1,1]> (r, w2, b2) q = Relu(c)
  s = Add(q, r) t = Relu(s) f = Flatten(t) y = Gemm(f, w3)
}
"""


def model() -> onnx.ModelProto:
    """Two convolutions and a shortcut; one channel of the first is never active."""
    weights = {"w1": normal(1, 8, 3, 3, 3) / 3, "w2": normal(2, 8, 8, 3, 3) / 5, "w3": normal(3, 288, 6) / 9}
    b1 = np.zeros(8, np.float32)
    b1[5] = -1000
    return parsed(GRAPH, **weights, b1=b1, b2=np.full(8, -0.1, np.float32))


def images(seed: int, count: int) -> np.ndarray:
    """Images that vary along few directions, as real ones do."""
    return (normal(seed, count, 6) @ normal(100, 6, 108)).reshape(count, 3, 6, 6) * np.float32(0.4)


def agreement(calibration: Dataset, fresh: np.ndarray, *, timesteps: int = 8, batch_size: int = 64) -> float:
    """Share of arg maxima that equal the ANN's on fresh images; every array of the network is finite."""
    prepared = samples_first(model(), {})
    truth = Truth(prepared, threads=1)
    made: Network = ran(
        lowered_network(normalize(prepared)),
        recipe.steps(recipe.load_method("matched")),
        truth=truth,
        calibration=calibration,
        timesteps=timesteps,
        seed=0,
        batch_size=batch_size,
    ).network
    assert all(np.isfinite(a).all() for a in made.arrays.values() if a.dtype.kind == "f")
    found = Engine(made).run({"x": fresh}, timesteps).outputs["y"][0].numpy()
    wanted = truth.run({"x": fresh}, ["y"])["y"]
    return float(np.mean(found.argmax(1) == wanted.argmax(1)))


def with_outliers(x: np.ndarray) -> np.ndarray:
    """One image in a hundred is fifty times as bright."""
    x = x.copy()
    x[::100] *= 50
    return x


def with_blanks(x: np.ndarray) -> np.ndarray:
    """Half of the images are empty."""
    x = x.copy()
    x[::2] = 0
    return x


@pytest.mark.parametrize(
    ("change", "count", "least"),
    [
        (lambda x: x, 64, 0.84),
        (lambda x: x, 512, 0.84),
        (lambda x: x, 4096, 0.84),
        (with_outliers, 512, 0.82),
        (with_blanks, 512, 0.84),
        (lambda x: x * 2, 512, 0.7),
        (lambda x: x + np.float32(0.5), 512, 0.82),
    ],
    ids=["64 images", "512 images", "4096 images", "outliers", "blanks", "twice as bright", "shifted"],
)
def test_accuracy_survives(change: Callable[[np.ndarray], np.ndarray], count: int, least: float) -> None:
    assert agreement(dataset(x=change(images(5, count))), images(6, 2000)) >= least


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_images_is_enough_to_convert(count: int) -> None:
    assert agreement(dataset(x=images(5, count)), images(6, 200), timesteps=4) > 1 / 6


def test_the_batch_size_hardly_matters() -> None:
    data = dataset(x=images(5, 96))
    found = [agreement(data, images(6, 400), batch_size=size) for size in (1, 7, 64)]
    assert max(found) - min(found) <= 0.02


def test_calibration_without_any_activity_converts() -> None:
    assert agreement(dataset(x=np.zeros((32, 3, 6, 6), np.float32)), images(6, 50)) >= 0.0


def test_what_is_left_out_is_said() -> None:
    case = lowered(model(), dataset(x=with_outliers(images(5, 400))))
    case.spiking(kind="signed_if", negative="early")
    case.apply("minimize_threshold_error")
    assert any("4 of 400 calibration samples left out" in note.text for note in case.context.notes)
    case.context.notes.clear()
    plain = lowered(model(), dataset(x=images(5, 400)))
    plain.spiking(kind="signed_if", negative="early")
    plain.apply("minimize_threshold_error")
    assert not any("left out" in note.text for note in plain.context.notes)
