# SPDX-License-Identifier: Apache-2.0
"""Zou et al. 2024 on MNIST: train the ternary LeNet, convert it into an integer spiking net, certify, print tables."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lenet import ann_accuracy, arguments, curve, float_model, mnist, row

from snncc import api, recipe
from snncc.api import Converted
from snncc.data import Dataset
from snncc.finetune.run import finetune
from snncc.finetune.settings import Settings

TIMES = (2, 4, 8, 16)
#: Table 2 of the paper, k = 0 with integer thresholds and ternary weights; 99.42 for T = 8 and later.
PAPER = {0: {2: 99.09, 4: 99.45, 8: 99.42, 16: 99.42}}
FLOAT_THRESHOLDS = "real thresholds"


def train(model: Path, folder: Path, data: Dataset, *, level: int, epochs: int, weights: str = "ternary") -> Path:
    """The quantised ANN as ONNX; an earlier one in the folder is used again."""
    path = folder / f"{model.stem}-zou-{level}-{weights}-{epochs}.onnx"
    given = {"method": "zou", "level": level, "epochs": epochs, "lr": 0.002, "optimizer": "adam", "weight_decay": 0.0}
    if not path.exists():
        settings = msgspec.convert({**given, "weights": weights, "batch_size": 100, "pool": "stride"}, Settings)
        finetune(model, settings, train=data, out=path, changed=print, report=lambda e: print(e, flush=True))
    return path


def spiking(path: Path, calibration: Dataset, thresholds: str = "round") -> Converted:
    """The spiking net with integer thresholds (round, floor, ceil), or real ones."""
    if thresholds != FLOAT_THRESHOLDS:
        options = [("round_thresholds", "rounding", thresholds)]
        return api.convert(path, method="zou", calib=calibration, options=options, write=False)
    passes = [p for p in tomllib.loads(recipe.methods()["zou"].read_text())["passes"] if p["use"] != "round_thresholds"]
    text = "".join(
        f'[[passes]]\nuse = "{p["use"]}"\n' + ("with = { steps = 1 }\n" if "with" in p else "") for p in passes
    )
    file = path.with_suffix(".toml")
    file.write_text(f'name = "zou-real"\nsource = "zou"\nsummary = "Real thresholds."\n{text}')
    return api.convert(path, recipe=file, calib=calibration, write=False)


def shown(converted: Converted) -> str:
    """The certificate in one cell."""
    found = converted.manifest.certificate
    if found is None:
        return "none"
    return f"{found.mismatches} of {found.neurons * found.samples:,}, settled at T={found.settled}"


def main() -> None:
    """The tables."""
    given = arguments(__doc__ or "")
    data, held_out = mnist(False, given.images), mnist(True, given.test)
    model, full = float_model(given.out, data, held_out, epochs=given.float_epochs, width=given.width)
    calibration = data.head(64)
    trained = {k: train(model, given.out, data, level=k, epochs=given.epochs) for k in (0, 1, 2)}
    print(f"\nfull precision {full:.2f} % on {len(held_out)} held-out images\n")
    row("k", "quantised ANN", *[f"T={t}" for t in TIMES], "mismatches")
    row(*["---"] * (3 + len(TIMES)))
    for k, path in trained.items():
        converted = spiking(path, calibration)
        accuracy = curve(converted.network, held_out, max(TIMES))
        row(k, ann_accuracy(path, held_out), *[accuracy[t - 1] for t in TIMES], shown(converted))
    row("paper, k = 0", 99.45, *[PAPER[0][t] for t in TIMES], "")
    if not given.ablations:
        return
    print("\nweights and thresholds, k = 0, T = 16\n")
    row("weights", "thresholds", "quantised ANN", "SNN", "mismatches")
    row(*["---"] * 5)
    for weights in ("ternary", "real"):
        path = train(model, given.out, data, level=0, epochs=given.epochs, weights=weights)
        for kind in (FLOAT_THRESHOLDS, "round", "floor", "ceil") if weights == "ternary" else (FLOAT_THRESHOLDS,):
            converted = spiking(path, calibration, kind)
            accuracy = curve(converted.network, held_out, 16)[-1]
            row(weights, kind, ann_accuracy(path, held_out), accuracy, shown(converted))


if __name__ == "__main__":
    main()
