# SPDX-License-Identifier: Apache-2.0
"""Small networks: the share of arg maxima that equal the ANN's, by `matched` and other methods.

    python benchmarks/accuracy/small.py --data ../shared/data [--methods matched,dnisnm] [--timesteps 2,4,8]
        [--calibration 1024] [--levels 4]

Calibrated on training samples, judged on up to 2,000 others; methods that depend on T are converted for each T.
The keyword network is fed with MFCC of the spoken digits (see speech.py), which it was not trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from networks import RAW, model, sheets, spiking_choices
from speech import spoken_digits

from snncc.conversion import recipe
from snncc.conversion.recipe import depends_on_timesteps
from snncc.data.dataset import Preprocessing

SCALED = Preprocessing(scale=1 / 255)
LARGEST, JUDGED = 1024, 2000  # samples to calibrate and to judge
EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


def mnist(folder: Path, shape: tuple[int, ...], size: int = 28) -> np.ndarray:
    """Handwritten digits, resized (bilinear) where the network takes larger ones."""
    images = np.load(folder / "mnist_train.npz")["x"][: LARGEST + JUDGED].reshape(-1, 28, 28)
    if size != 28:
        from PIL import Image

        images = np.stack(
            [np.asarray(Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR)) for i in images]
        )
    return images.reshape(-1, *shape)


def cifar_images(folder: Path) -> np.ndarray:
    """Training images of CIFAR-10."""
    return sheets(folder, range(4))[0][: LARGEST + JUDGED]


def digits(_: Path) -> np.ndarray:
    """The bundled digits: calibration split first."""
    arrays = np.load(EXAMPLE / "digits.npz")
    return np.concatenate([arrays["calib_x"], arrays["x"]])


Source = Callable[[Path], np.ndarray]
NETWORKS: dict[str, tuple[str, Preprocessing, Source]] = {
    "digits": ("examples", RAW, digits),
    "MNIST LeNet": ("models/lenet-jinsoo__lenet.onnx", SCALED, lambda d: mnist(d, (1, 32, 32), 32)),
    "MNIST cnn_max": ("models/marabou__cnn_max_mninst2.onnx", SCALED, lambda d: mnist(d, (28, 28, 1))),
    "MNIST MLP 2 x 10": ("models/marabou__mnist2x10.onnx", SCALED, lambda d: mnist(d, (1, 28, 28))),
    "CIFAR-10 ResNet-8": ("models/mlperf-tiny__ic_resnet8.onnx", RAW, cifar_images),
    "keywords DS-CNN": ("models/mlperf-tiny__kws_dscnn.onnx", RAW, lambda d: spoken_digits(d, LARGEST + JUDGED)),
}


def main() -> None:
    """Parse, convert, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--methods", default="matched,dnisnm")
    parser.add_argument("--granularity", choices=["neuron", "channel"], default="neuron")
    parser.add_argument("--timesteps", default="2,4,8")
    parser.add_argument("--calibration", type=int, default=512)
    parser.add_argument("--levels", type=int, default=1, choices=range(1, 5), help="spikes in one step, of `matched`")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = tuple(sorted(int(t) for t in options.timesteps.split(",")))
    print("| network | method | samples | " + " | ".join(f"T={t}" for t in steps) + " |")
    print("|---|---|---|" + "---|" * len(steps), flush=True)
    for name in options.networks.split(","):
        file, preprocessing, source = NETWORKS[name]
        path = EXAMPLE / "digits.onnx" if file == "examples" else options.data / file
        made, samples = model(path, preprocessing, options.threads), source(options.data)
        first = min(LARGEST, len(samples) // 2)
        calibration = made.dataset(samples[: min(first, options.calibration)])
        judged = made.dataset(samples[first:])
        choices = made.choices(judged)
        for method in options.methods.split(","):
            chosen = recipe.with_granularity(recipe.load_method(method), options.granularity)
            if options.levels > 1:
                chosen = recipe.with_levels(chosen, options.levels)
            row: list[float] = []
            for group in [(t,) for t in steps] if depends_on_timesteps(recipe.steps(chosen)) else [steps]:
                network = made.converted(chosen, calibration, max(group))
                row += (100 * (spiking_choices(network, judged, group) == choices).mean(1)).tolist()
            cells = " | ".join(f"{x:.1f}" for x in row)
            print(f"| {name} | `{method}` | {len(judged)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
