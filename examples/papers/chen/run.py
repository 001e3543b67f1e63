# SPDX-License-Identifier: Apache-2.0
"""Chen et al. 2022 on MNIST: accuracy, latency C_T, firing rates and a raster with and without adaptive thresholds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from tables import Option, convert, header, row, simulate, spikes
from task import arguments, task

from snncc.simulation.metrics import latency, lossless

TIMES = (4, 8, 16, 32, 64, 128)
ADAPTIVE, FIXED = "adaptive threshold", "fixed at 0.7, reset by 0.7"


def set_to(option: str, value: object) -> tuple[Option, ...]:
    """One option of the neuron."""
    return (("select_adaptive_neuron", option, value),)


VARIANTS: dict[str, tuple[Option, ...]] = {
    ADAPTIVE: (),
    FIXED: set_to("adapt", False) + set_to("subtract", "vcur"),
    "fixed at 0.7, reset by the full quantum": set_to("adapt", False),
    "fixed at the full quantum": set_to("adapt", False) + set_to("eta", 1.0),
    "adaptive, one threshold for the batch": set_to("scope", "batch"),
    "adaptive, algorithm 2 as printed": set_to("rule", "alg2"),
    "adaptive, reset by the current threshold": set_to("subtract", "vcur"),
    "adaptive, graded spikes": set_to("subtract", "graded"),
    "adaptive, output spikes counted": (("fire_outputs", "readout", "spikes"),),
}
#: The paper: (task, T, C_T, SNN, ANN). Its curve on CIFAR-10 at T = 16, 32, 64, as the authors' log has it.
PAPER = (("VGG-19 CIFAR-10", 400, 122, 93.97, 93.93), ("VGG-19 CIFAR-100", 1100, 180, 73.58, 73.57))
LOG = {16: 12.3, 32: 42.6, 64: 84.2}
RASTER_NEURONS, RASTER_STEPS = 16, 64


def raster(trains: np.ndarray, chosen: np.ndarray) -> str:
    """One line per neuron, a bar where it fires."""
    return "\n".join("".join("|" if s else "." for s in trains[i][:RASTER_STEPS]) for i in chosen)


def main() -> None:
    """The tables and the rasters."""
    given = arguments(__doc__ or "", calibration=2000, timesteps=128)
    found = task(given)
    ann, held_out, calibration = found.ann, found.held_out, found.training.head(given.calibration)
    times = [t for t in TIMES if t <= given.timesteps]
    networks = {name: convert(found.model, "chen", calibration, o).network for name, o in VARIANTS.items()}
    print(f"\nANN {ann:.2f} % on {len(held_out)} held-out images")
    print(f"C_T and spikes per neuron and step: at T={max(times)}\n")
    header("network", *[f"T={t}" for t in times], "C_T", "lossless T", "spikes")
    for name, network in networks.items():
        curve, rate = simulate(network, held_out, max(times), given.device)
        known = dict(enumerate(curve, 1))
        marks = [latency(known), lossless(known, ann) or "none"]
        row(name, *[known[t] for t in times], *marks, f"{rate:.4f}")
    row("paper's log, CIFAR-10 VGG-19", *[LOG.get(t, "") for t in times], PAPER[0][2], "", "")
    for name, duration, reached, snn, full in PAPER:
        print(f"\npaper, {name}: {snn} at T={duration} (ANN {full}), C_T {reached}", end="")
    rasters = {name: spikes(networks[name], held_out, RASTER_STEPS, -1) for name in (ADAPTIVE, FIXED)}
    chosen = np.argsort(-rasters[ADAPTIVE].sum(1), kind="stable")
    for name, trains in rasters.items():
        print(f"\n\n{name}: last layer, first image, the {RASTER_NEURONS} most active neurons, a step per column")
        print(raster(trains, chosen[:RASTER_NEURONS]), end="")
        print(f"\nspikes of the layer in {RASTER_STEPS} steps: {np.count_nonzero(trains)}")


if __name__ == "__main__":
    main()
