# SPDX-License-Identifier: Apache-2.0
"""CPU time of a conversion as a multiple of one simulation of the same images, by pass, taken in one run.

    OMP_NUM_THREADS=1 python benchmarks/conversion.py --data ../shared/data [--calibration 512] [--timesteps 4]

A conversion and a simulation by the torch engine of the network that it gave alternate in one process of one thread;
the median of the repeats counts. Seconds are CPU time and belong to the machine; the ratios are what is asked about.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from networks import RESNET20, Model, cifar, drawn

from snncc.conversion import pipeline, recipe
from snncc.data.dataset import Dataset
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.memory import keep_freed_memory
from snncc.ir.network import Network


def converted(model: Model, chosen: recipe.Recipe, data: Dataset, timesteps: int) -> tuple[Network, dict[str, float]]:
    """The network, and the seconds of CPU time of each pass with the checks behind it."""
    seconds: dict[str, float] = {}
    began = time.process_time()

    def clock(index: int, name: str, *_: object) -> None:
        nonlocal began
        seconds[f"{index} {name}"], began = time.process_time() - began, time.process_time()

    outcome = pipeline.run(model.request(chosen, data, timesteps), observe=clock)
    return outcome.network, seconds


def simulated(network: Network, data: Dataset, timesteps: int) -> float:
    """Seconds of CPU time of one simulation of the samples."""
    began = time.process_time()
    batch, piece = plan(network, timesteps, len(data))
    engine = Engine(network)
    for feeds in data.batches(batch):
        engine.run(feeds, timesteps, steps_at_once=piece, count=False)
    return time.process_time() - began


def main() -> None:
    """Parse, alternate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=RESNET20)
    parser.add_argument("--method", default="matched")
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--calibration", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    model, chosen = cifar(options.data, options.model), recipe.load_method(options.method)
    data = model.dataset(drawn(options.data, options.calibration, 0))
    passes, simulations = defaultdict[str, list[float]](list), list[float]()
    for _ in range(options.repeats):
        network, seconds = converted(model, chosen, data, options.timesteps)
        for name, taken in seconds.items():
            passes[name].append(taken)
        simulations.append(simulated(network, data, options.timesteps))
    one = median(simulations)
    about = f"{len(data)} images, T={options.timesteps}, {options.repeats} repeats"
    print(f"{Path(options.model).stem} by {options.method}, {about}; one simulation: {one:.2f} s of CPU time\n")
    print("| pass | seconds | simulations |")
    print("|---|---|---|")
    for name, taken in passes.items():
        print(f"| `{name.split()[1]}` | {median(taken):.2f} | {median(taken) / one:.2f} |")
    total = median(sum(each) for each in zip(*passes.values(), strict=True))
    print(f"| all | {total:.2f} | {total / one:.2f} |")


if __name__ == "__main__":
    main()
