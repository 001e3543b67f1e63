# SPDX-License-Identifier: Apache-2.0
"""What each ingredient of `matched` gives: on and off, over several draws of the calibration images.

    python benchmarks/accuracy/ablation.py --data ../shared/data [--timesteps 2,4,8] [--draws 3] [--variants recipe,...]
        [--model models/mlperf-tiny__ic_resnet8.onnx]

Judged by the share of arg maxima that equal the ANN's, on training images outside calibration (sheets 30 and up; the
draws are taken from sheets 0 to 29), and by the same of the quantised reference. Prints mean and deviation over draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import RESNET20, Model, cifar, drawn, sheets

from snncc.conversion import recipe
from snncc.data.dataset import Dataset
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.synchronous import Synchronous
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron

Change = tuple[str, str, Any]
VARIANTS: dict[str, Sequence[Change]] = {
    "recipe": (),
    **{f"centre {c}": (("minimize_threshold_error", "centre", float(c)),) for c in (0, 1, 2, 3, 4)},
    "per channel": (("minimize_threshold_error", "granularity", "channel"),),
    "no least squares": (("match_currents", "weights", False),),
    "no bias rounds": (("match_currents", "bias_rounds", 0),),
    "no search": (("match_currents", "search", 0),),
    "all rows": (("match_currents", "rows", 1 << 17),),
    "signed at -threshold": (("select_neuron", "negative", "signed"),),
    "no initial potential": (("initialize_membrane", "fraction", 0.0),),
    "two levels": (("select_neuron", "levels", 2),),
    "four levels": (("select_neuron", "levels", 4),),
}


def judged(network: Network, data: Dataset, choices: np.ndarray, timesteps: int) -> tuple[float, float, float]:
    """Percent of agreement of the SNN and of the quantised reference, and spikes per neuron and step."""
    batch, piece = plan(network, timesteps, len(data))
    engine, output = Engine(network), network.outputs[0]
    walk = Synchronous(engine, timesteps, piece)
    neurons = sum(int(np.prod(n.shape)) for n in network.nodes if isinstance(n, Neuron))
    agree, same, spikes, done = 0, 0, 0.0, 0
    for feeds in data.batches(min(batch, 100)):
        run = engine.run(feeds, timesteps, steps_at_once=piece, first_sample=done)
        wanted = choices[done : done + run.outputs[output].shape[1]]
        agree += int((run.outputs[output][0].argmax(-1).numpy() == wanted).sum())
        same += int((walk.outputs(feeds)[output].argmax(-1) == wanted).sum())
        spikes += sum(a.positive + a.negative for a in run.activity.values())
        done += len(wanted)
    return 100 * agree / done, 100 * same / done, spikes / (neurons * timesteps * done)


def converted(model: Model, calibration: Dataset, changes: Sequence[Change], timesteps: int) -> Network:
    """The network by `matched` with some options changed."""
    return model.converted(recipe.with_options(recipe.load_method("matched"), changes), calibration, timesteps)


def main() -> None:
    """Parse, convert each variant for each draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=RESNET20)
    parser.add_argument("--timesteps", default="2,4,8")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--first-draw", type=int, default=0)
    parser.add_argument("--calibration", type=int, default=512)
    parser.add_argument("--judge", type=int, default=4000, help="training images outside calibration")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = cifar(options.data, options.model, options.threads)
    images, _ = sheets(options.data, range(30, 40))
    data = model.dataset(images[:: max(1, len(images) // options.judge)][: options.judge])
    choices = model.choices(data)
    print(f"{options.model}, {options.calibration} calibration images, {options.draws} draws, judged on {len(data)}\n")
    print("| variant | T | agreement | quantised reference | rate | seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    for timesteps in map(int, options.timesteps.split(",")):
        for name in options.variants.split(","):
            began, rows = time.perf_counter(), []
            for seed in range(options.first_draw, options.first_draw + options.draws):
                calibration = model.dataset(drawn(options.data, options.calibration, seed))
                network = converted(model, calibration, VARIANTS[name], timesteps)
                rows.append(judged(network, data, choices, timesteps))
            mean, deviation = np.mean(rows, 0), np.std(rows, 0)
            cells = f"{mean[0]:.1f} ± {deviation[0]:.1f} | {mean[1]:.1f} ± {deviation[1]:.1f} | {mean[2]:.3f}"
            seconds = (time.perf_counter() - began) / options.draws
            print(f"| {name} | {timesteps} | {cells} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
