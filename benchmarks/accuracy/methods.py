# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the post-training methods on CIFAR-10 ResNet-20, at several T.

    python benchmarks/accuracy/methods.py --data ../shared/data [--methods rate,opi] [--timesteps 4,8] [--test 500]

Calibrated on training images without labels, the first ones or, with --draw, drawn at random; methods that depend on
the design T are converted for each T, the others once. Prints one Markdown row per method as soon as it is measured;
behind each accuracy half its paired 95 % interval, that of the difference to the ANN on the same images.
"""

from __future__ import annotations

import argparse
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from networks import RESNET20, SHEET, cifar, drawn, final_images, sheets, spiking_choices

from snncc.conversion import recipe
from snncc.conversion.recipe import depends_on_timesteps
from snncc.data.dataset import Dataset
from snncc.ir.network import Network

METHODS = ("rate", "rmp", "opi", "dnisnm", "chen", "msat", "burst", "calibration", "ltb", "matched")
TIMESTEPS = (4, 8, 16, 32, 64, 128)


def judged(network: Network, data: Dataset, timesteps: tuple[int, ...], ann: np.ndarray, device: str) -> list[str]:
    """Accuracy at each T, of one simulation, with half the 95 % interval of its difference to the ANN."""
    labels = np.asarray(data.labels)
    right = spiking_choices(network, data, timesteps, device) == labels
    half = 1.96 * (right.astype(int) - (ann == labels)).std(1) / np.sqrt(len(labels))
    return [f"{100 * mean:.1f} ± {100 * h:.1f}" for mean, h in zip(right.mean(1), half, strict=True)]


def main() -> None:
    """Parse, convert, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=RESNET20)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--timesteps", default=",".join(map(str, TIMESTEPS)))
    parser.add_argument("--calibration", type=int, default=2000, help="images of the training sheets, from the first")
    parser.add_argument("--draw", type=int, help="seed of random calibration images, from two sheets below 30")
    parser.add_argument("--validate", type=int, default=0, help="measure on this many further training images instead")
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--set", action="append", default=[], help="PASS.OPTION=VALUE (TOML), for all methods given")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = tuple(sorted(int(t) for t in options.timesteps.split(",")))
    model = cifar(options.data, options.model, options.threads)
    images, labels = sheets(options.data, range(-(-(options.calibration + options.validate) // SHEET)))
    first = images[: options.calibration]
    calibration = model.dataset(
        first if options.draw is None else drawn(options.data, options.calibration, options.draw)
    )
    if options.validate:
        kept = slice(options.calibration, options.calibration + options.validate)
        test = model.dataset(images[kept], labels[kept])
    else:
        test = model.dataset(*final_images(options.data, options.test))
    ann = model.choices(test)
    print(f"ANN {100 * float(np.mean(ann == test.labels)):.1f} % of {len(test)} images\n")
    print("| method | " + " | ".join(f"T={t}" for t in steps) + " | seconds |")
    print("|---|" + "---|" * (len(steps) + 1), flush=True)
    for method in options.methods.split(","):
        began, row = time.perf_counter(), list[str]()
        anew = depends_on_timesteps(recipe.steps(recipe.load_method(method)))
        for group in [(t,) for t in steps] if anew else [steps]:
            chosen = recipe.load_method(method)
            for text in options.set:
                key, _, value = text.partition("=")
                pass_name, _, option = key.partition(".")
                chosen = recipe.with_options(chosen, [(pass_name, option, tomllib.loads(f"v = {value}")["v"])])
            network = model.converted(chosen, calibration, max(group))
            row += judged(network, test, group, ann, options.device)
        print(f"| `{method}` | {' | '.join(row)} | {time.perf_counter() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
