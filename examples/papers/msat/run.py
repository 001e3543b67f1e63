# SPDX-License-Identifier: Apache-2.0
"""MSAT (He et al. 2024) on MNIST: both parts of the threshold and spike confidence on and off, and the SIN ratios."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from tables import Option, convert, header, row, simulate
from task import arguments, task

from snncc.conversion import recipe
from snncc.conversion.pipeline import Record
from snncc.data.dataset import Dataset
from snncc.ir.network import Network

TIMES = (4, 8, 16, 32, 64)
#: The T at which spikes of inactivated neurons (SIN) are counted, as in the paper's table.
COUNTED_AT = 32
CONFIDENCE, NEURON = "measure_spike_confidence", "select_multistage_neuron"
OFF = ((CONFIDENCE, "steps", 0),)
VGG16: tuple[Option, ...] = tuple((NEURON, key, v) for key, v in (("alpha", 0.03), ("tau_mp", 1.0), ("tau_rd", 1.0)))
VARIANTS: dict[str, tuple[Option, ...]] = {
    "constant threshold": ((NEURON, "dtt", False), (NEURON, "det", False), *OFF),
    "DTT": ((NEURON, "det", False), *OFF),
    "DET": ((NEURON, "dtt", False), *OFF),
    "DTT and DET": OFF,
    "MSAT: DTT, DET, confidence in the last layer": (),
    "DTT, DET, confidence in all layers": ((CONFIDENCE, "layers", "all"),),
    "MSAT, constants of VGG-16": VGG16,
    "MSAT, burst of up to 5": ((NEURON, "burst", 5),),
}
#: The paper's table of spike confidence at T=32: accuracy without and with, averaged SIN ratio without and with, in %.
PAPER = {
    "VGG-16 CIFAR-10": (93.48, 93.85, 2.92, 2.34),
    "VGG-16 CIFAR-100": (61.16, 66.73, 4.47, 2.51),
    "ResNet-20 CIFAR-10": (93.30, 94.02, 1.97, 1.56),
    "ResNet-20 CIFAR-100": (71.92, 73.25, 6.31, 3.06),
}


def average_sin(record: Record) -> float:
    """The SIN ratio in percent, averaged over layers, as the pass noted it."""
    ratios = [float(note.text.split(": ")[1].split()[0]) for note in record.notes if "(SIN)" in note.text]
    return 100 * float(np.mean(ratios))


def converted(path: Path, calibration: Dataset, options: Sequence[Option]) -> tuple[Network, float]:
    """The spiking network, and its averaged SIN ratio.

    The pass that measures confidence runs twice: the second time it counts the spikes of the finished network.
    """
    shipped = recipe.load_method("msat")
    twice = msgspec.structs.replace(shipped, passes=(*shipped.passes, shipped.passes[-1]))
    after: list[Network] = []

    def see(index: int, name: str, network: Network, record: Record) -> None:
        after.append(network)

    outcome = convert(path, twice, calibration, options, timesteps=COUNTED_AT, observe=see)
    return after[-2], average_sin(outcome.records[-1])


def main() -> None:
    """The table."""
    given = arguments(__doc__ or "", calibration=2000)
    found = task(given)
    path, ann, held_out, calibration = found.model, found.ann, found.held_out, found.training.head(given.calibration)
    print(f"\nANN {ann:.2f} % on {len(held_out)} held-out images; averaged SIN ratio in % at T={COUNTED_AT}\n")
    header("network", *[f"T={t}" for t in TIMES], "SIN", "spikes")
    half = convert(path, "opi", calibration).network
    curve, rate = simulate(half, held_out, max(TIMES), given.device)
    row("constant threshold, half of it at the start (opi)", *[curve[t - 1] for t in TIMES], "", f"{rate:.4f}")
    for name, options in VARIANTS.items():
        network, sin = converted(path, calibration, options)
        curve, rate = simulate(network, held_out, max(TIMES), given.device)
        row(name, *[curve[t - 1] for t in TIMES], f"{sin:.2f}", f"{rate:.4f}")
    print("\npaper at T=32, confidence off and on\n")
    header("task", "accuracy off", "on", "SIN off", "on")
    for name, figures in PAPER.items():
        row(name, *figures)


if __name__ == "__main__":
    main()
