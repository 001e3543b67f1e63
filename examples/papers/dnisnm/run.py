# SPDX-License-Identifier: Apache-2.0
"""DNISNM (Wang et al. 2024) on MNIST: thresholds, initial charge and signed neuron on and off, over several nets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from tables import Option, convert, header, row, simulate
from task import arguments, task

TIMES = (1, 2, 4, 8, 16, 32)
#: The paper's CIFAR-10 rows: (network, ANN, {T: SNN}).
PAPER = (
    ("VGG-16", 95.67, {2: 90.17, 4: 94.14, 8: 95.14, 16: 95.45, 32: 95.68}),
    ("ResNet-18", 96.47, {2: 76.69, 4: 89.40, 8: 94.57, 16: 96.19, 32: 96.46}),
)


def reading(granularity: str, fraction: float, kind: str) -> tuple[Option, ...]:
    """The recipe with another threshold, initial charge and neuron."""
    return (
        ("balance_thresholds", "granularity", granularity),
        ("initialize_membrane", "fraction", fraction),
        ("select_neuron", "kind", kind),
    )


VARIANTS: dict[str, tuple[Option, ...]] = {
    "layer maximum (RMP)": reading("layer", 0.0, "if"),
    "layer maximum, initialised (OPI)": reading("layer", 0.5, "if"),
    "layer maximum, signed": reading("layer", 0.0, "signed_if"),
    "layer maximum, initialised, signed": reading("layer", 0.5, "signed_if"),
    "neuron maximum": reading("neuron", 0.0, "if"),
    "neuron maximum, initialised": reading("neuron", 0.5, "if"),
    "neuron maximum, signed (2022)": reading("neuron", 0.0, "signed_if"),
    "DNISNM: neuron maximum, initialised, signed": (),
    "DNISNM, negative spikes at u < 0": (("select_neuron", "negative", "early"),),
    "DNISNM, 99 % per neuron": (("balance_thresholds", "reduce", "percentile"),),
}


def main() -> None:
    """The tables."""
    given = arguments(__doc__ or "", runs=5, calibration=2000)
    ann, curves, rates = [], {name: [] for name in VARIANTS}, {name: [] for name in VARIANTS}
    for seed in range(given.runs if given.model is None else 1):
        found = task(given, seed)
        ann.append(found.ann)
        for name, options in VARIANTS.items():
            network = convert(found.model, "dnisnm", found.training.head(given.calibration), options).network
            curve, rate = simulate(network, found.held_out, max(TIMES), given.device)
            curves[name].append(curve)
            rates[name].append(rate)
    print(f"\nANN {np.mean(ann):.2f} ± {np.std(ann):.2f} % on {len(found.held_out)} held-out images, nets: {len(ann)}")
    print(f"spikes per neuron and step: at T={max(TIMES)}\n")
    header("network", *[f"T={t}" for t in TIMES], "spikes")
    for name, runs in curves.items():
        mean, deviation = np.mean(runs, 0), np.std(runs, 0)
        cells = [f"{mean[t - 1]:.2f} ± {deviation[t - 1]:.2f}" for t in TIMES]
        row(name, *cells, f"{np.mean(rates[name]):.4f}")
    for net, full, known in PAPER:
        row(f"paper, CIFAR-10 {net} (ANN {full})", *[known.get(t, "") for t in TIMES], "")


if __name__ == "__main__":
    main()
