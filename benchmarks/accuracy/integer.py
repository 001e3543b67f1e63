# SPDX-License-Identifier: Apache-2.0
"""Networks in whole numbers beside the same networks in floats, at T=8 with one threshold per channel.

    python benchmarks/accuracy/integer.py --data ../shared/data [--networks digits LeNet] [--weights int8,int4,ternary]

Calibrated on 256 training samples (digits: its calibration split), judged on others: the bundled digits' test split,
4,000 of the last 10,000 training images of MNIST, 4,000 training images of CIFAR-10 (on which the ANN was trained),
and all spoken digits, which have no labels for the keyword network. `--zou FILE` adds what examples/papers/zou/run.py
has trained. Prints one Markdown row per network and weights, in percent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from networks import NORMALIZED, RAW, RESNET20, model, sheet, sheets
from speech import spoken_digits

from snncc.conversion import recipe
from snncc.data.dataset import Dataset, Preprocessing
from snncc.execute.native.executor import native_executor
from snncc.execute.protocol import Executor
from snncc.integer import lower
from snncc.integer.native import native_integers

CALIBRATED, TIMESTEPS, BATCH = 256, 8, 50
EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
SCALED = Preprocessing(scale=1 / 255)
#: Calibration samples, samples to judge on, and their labels.
Samples = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def digits(_: Path, count: int) -> Samples:
    """The bundled digits."""
    arrays = np.load(EXAMPLE / "digits.npz")
    return arrays["calib_x"], arrays["x"][:count], arrays["y"][:count]


def mnist(folder: Path, count: int, pad: int = 0) -> Samples:
    """MNIST, with a margin of `pad` pixels; the last 10,000 training images are held out."""
    arrays = np.load(folder / "mnist_train.npz")
    x = np.pad(arrays["x"], ((0, 0), (pad, pad), (pad, pad)))[:, None]
    return x[:CALIBRATED], x[50000:][:count], arrays["y"][50000:][:count]


def cifar10(folder: Path, count: int) -> Samples:
    """CIFAR-10: the first training images to calibrate, the last ones to judge."""
    x, labels = sheets(folder, range(36, 40))
    return sheet(folder, 0)[:CALIBRATED], x[:count], labels[:count]


def speech(folder: Path, count: int) -> Samples:
    """All spoken digits, the first of which calibrate."""
    x = spoken_digits(folder, count)
    return x[:CALIBRATED], x, None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network and how it is converted."""

    file: str
    preprocessing: Preprocessing
    samples: Callable[[Path, int], Samples]
    method: str = "matched"
    levels: int | None = None
    weights: tuple[str, ...] = ("int8", "int4", "ternary")


CASES = {
    "digits": Case(file="", preprocessing=RAW, samples=digits),
    "LeNet": Case(
        file="models/lenet-jinsoo__lenet.onnx", preprocessing=SCALED, samples=lambda d, n: mnist(d, n, pad=2)
    ),
    "DS-CNN": Case(file="models/mlperf-tiny__kws_dscnn.onnx", preprocessing=RAW, samples=speech, weights=("int8",)),
    "ResNet-20": Case(file=RESNET20, preprocessing=NORMALIZED, samples=cifar10, weights=("int8",)),
    "ResNet-20, levels 4": Case(file=RESNET20, preprocessing=NORMALIZED, samples=cifar10, levels=4),
}


def choices(executor: Executor, data: Dataset) -> np.ndarray:
    """The arg max at T."""
    found = [executor.run(feeds, TIMESTEPS, (TIMESTEPS,)).outputs for feeds in data.batches(BATCH)]
    outputs = np.concatenate([next(iter(outputs.values()))[0] for outputs in found])
    return outputs.reshape(len(outputs), -1).argmax(1)


def percent(matches: np.ndarray) -> str:
    """A share."""
    return f"{100 * matches.mean():.1f}"


def measure(name: str, case: Case, given: argparse.Namespace) -> None:
    """Convert one network and print a row for each kind of weights."""
    path = given.zou if case.method == "zou" else given.data / case.file if case.file else EXAMPLE / "digits.onnx"
    made, (calibrating, judged, labels) = model(path, case.preprocessing), case.samples(given.data, given.samples)
    calibration, data = made.dataset(calibrating), made.dataset(judged)
    chosen = recipe.load_method(case.method)
    if recipe.granular_passes(chosen):
        chosen = recipe.with_granularity(chosen, "channel")
    chosen = recipe.without_centres(chosen)
    chosen = chosen if case.levels is None else recipe.with_levels(chosen, case.levels)
    network, ann = made.converted(chosen, calibration, TIMESTEPS), made.choices(data).ravel()
    floats = choices(native_executor(network, steps=TIMESTEPS), data)
    for weights in [w for w in given.weights.split(",") if w in case.weights]:
        integer = lower(network, calibration, weights=weights)  # type: ignore[arg-type]
        whole = choices(native_integers(integer, steps=TIMESTEPS), data)
        right = ["", "", ""] if labels is None else [percent(found == labels) for found in (whole, floats, ann)]
        cells = (percent(whole == floats), percent(whole == ann), percent(floats == ann), *right)
        print(f"| {name} | `{case.method}` | {weights} | {len(data)} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Parse, convert, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", nargs="*", default=list(CASES), help="names of the first column")
    parser.add_argument("--weights", default="int8,int4,ternary")
    parser.add_argument("--samples", type=int, default=4000, help="at most so many to judge on")
    parser.add_argument("--zou", type=Path, help="the ternary LeNet of examples/papers/zou/run.py")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = dict(CASES)
    if given.zou:
        cases["Zou's LeNet"] = Case(
            file="", preprocessing=SCALED, samples=mnist, method="zou", weights=("int8", "ternary")
        )
        given.networks = [*given.networks, "Zou's LeNet"]
    print("| network | method | weights | samples | integer = float | integer = ANN | float = ANN |", end="")
    print(" integer right | float right | ANN right |\n|" + "---|" * 10, flush=True)
    for name in given.networks:
        measure(name, cases[name], given)


if __name__ == "__main__":
    main()
