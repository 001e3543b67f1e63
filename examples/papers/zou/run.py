# SPDX-License-Identifier: Apache-2.0
"""Zou et al. 2024 on MNIST: train the ternary LeNet, convert it into an integer spiking net, certify, print tables."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))
from tables import ann_accuracy, convert, header, row, shown, simulate, stable
from task import Task, arguments, task

from snncc.conversion import recipe
from snncc.conversion.pipeline import Outcome
from snncc.data.dataset import Dataset
from snncc.training.run import finetune
from snncc.training.settings import Settings

TIMES = (2, 4, 8, 16)
LEVELS = (0, 1, 2)
LONGEST = 40
THRESHOLDS = ("real", "round", "floor", "ceil")
#: Table 2 of the paper, k = 0 with integer thresholds and ternary weights; 99.42 for T = 8 and later.
PAPER = {0: {2: 99.09, 4: 99.45, 8: 99.42, 16: 99.42}}
#: The paper's final time step for k = 0, 1, 2: everything real; ternary weights and integer thresholds, with accuracy.
STABLE_REAL, STABLE_INTEGER = (7, 13, 25), ((99.42, 6), (99.43, 10), (99.45, 21))


def train(start: Task, given: Namespace, *, level: int, weights: str = "ternary") -> Path:
    """The quantised ANN as ONNX; an earlier one in the folder is used again."""
    path = given.out / f"{start.model.stem}-zou-{level}-{weights}-{given.epochs}.onnx"
    chosen = {"method": "zou", "level": level, "weights": weights, "pool": "stride", "augment": start.augment}
    chosen |= {"epochs": given.epochs, "lr": 0.002, "optimizer": "adam", "weight_decay": 0.0, "batch_size": 100}
    if not path.exists():
        finetune(
            start.model,
            msgspec.convert(chosen, Settings),
            train=start.training,
            out=path,
            device=given.device,
            changed=print,
            report=lambda epoch: print(epoch, flush=True),
        )
    return path


def spiking(path: Path, calibration: Dataset, thresholds: str = "round") -> Outcome:
    """The spiking net with integer thresholds (round, floor, ceil), or real ones; weights are what they are."""
    chosen = recipe.load_method("zou")
    if thresholds == "real":
        kept = tuple(entry for entry in chosen.passes if entry.use != "round_thresholds")
        return convert(path, msgspec.structs.replace(chosen, passes=kept), calibration)
    options = (("round_thresholds", "rounding", thresholds), ("round_thresholds", "real_weights", True))
    return convert(path, chosen, calibration, options)


def main() -> None:
    """The tables."""
    given = arguments(__doc__ or "")
    found = task(given)
    held_out, calibration = found.held_out, found.training.head(64)
    trained = {k: train(found, given, level=k) for k in LEVELS}
    print(f"\nfull precision {found.ann:.2f} % on {len(held_out)} held-out images\n")
    header("k", "quantised ANN", *[f"T={t}" for t in TIMES], "mismatches")
    for k, path in trained.items():
        outcome = spiking(path, calibration)
        accuracy, _ = simulate(outcome.network, held_out, max(TIMES), given.device)
        row(k, ann_accuracy(path, held_out), *[accuracy[t - 1] for t in TIMES], shown(outcome.certificate))
    row("paper, k = 0", 99.45, *[PAPER[0][t] for t in TIMES], "")
    if not given.ablations:
        return
    print(f"\nweights x thresholds: accuracy at T={LONGEST}, the step after which it no longer changes,")
    print("mismatches of the certificate, levels that rounding moved\n")
    header("weights", "thresholds", *[f"k={k}" for k in LEVELS])
    for weights in ("real", "ternary"):
        nets = [train(found, given, level=k, weights=weights) for k in LEVELS]
        for thresholds in THRESHOLDS:
            cells = []
            for path in nets:
                outcome = spiking(path, calibration, thresholds)
                accuracy, _ = simulate(outcome.network, held_out, LONGEST, given.device)
                mark = outcome.certificate
                counts = f"{mark.mismatches}, {mark.moved}" if mark else "not certified"
                cells.append(f"{accuracy[-1]:.2f}, T={stable(accuracy)}, {counts}")
            row(weights, thresholds, *cells)
    row("paper: real", "real", *[f"T={t}" for t in STABLE_REAL])
    row("paper: ternary", "round", *[f"{accuracy}, T={t}" for accuracy, t in STABLE_INTEGER])


if __name__ == "__main__":
    main()
