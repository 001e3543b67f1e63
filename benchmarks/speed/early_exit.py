# SPDX-License-Identifier: Apache-2.0
"""Early exit: steps, accuracy and processor time of a bundle at several margins, against the run of all steps.

    python benchmarks/speed/early_exit.py BUNDLE [--data FILE.npz] [--engine native] [--margins 0.8,0.9,0.95,0.99]

Times are those of the process, on one thread, the best of several alternate runs over all samples; both runs count
events, and both are in batches of the same samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from contenders import fastest

from snncc.bundles.bundle import open_bundle
from snncc.execute.plan import plan
from snncc.execute.protocol import Executor
from snncc.ir.readout import choices, output_first
from snncc.simulation.early_exit import Exits, early_tally, margin_rule
from snncc.simulation.engines import executor


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, help="labelled samples (default: those of the bundle)")
    parser.add_argument("--engine", choices=["torch", "native", "integer", "native-integer"], default="native")
    parser.add_argument("--margins", default="0.8,0.9,0.95,0.99")
    parser.add_argument("--batch", type=int, help="samples at once (default: as `snncc simulate` plans)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    opened = open_bundle(options.bundle)
    truth, net, steps = opened.truth(), opened.network, opened.manifest.timesteps
    data = opened.data(options.data, truth) if options.data else opened.samples(truth)
    batch, piece = plan(net, steps, len(data))
    runner: Executor = executor(options.engine, opened, device="cpu", steps=piece)
    runner = getattr(runner, "integer", runner)  # without the network in floats beside it
    size = options.batch or batch
    batches = list(data.batches(size))
    node = net[net.outputs[0]]

    def whole() -> np.ndarray:
        found = [runner.run(feeds, steps, (steps,)).outputs[node.name][0] for feeds in batches]
        return np.concatenate([choices(output_first(y, node)) for y in found])

    def early(margin: float) -> tuple[np.ndarray, np.ndarray]:
        rule = margin_rule(net, data, margin=margin, timesteps=steps, certificate=opened.manifest.certificate)
        found = []
        for feeds in batches:
            exits = Exits(rule, len(feeds[net.sampled.name]))
            early_tally(rule, runner, {}).executor.run_early(feeds, steps, exits)
            found.append((choices(np.zeros(0) if exits.output is None else exits.output), exits.steps))
        return np.concatenate([c for c, _ in found]), np.concatenate([t for _, t in found])

    margins = [float(text) for text in options.margins.split(",")]
    runs: dict[str, Callable[[], object]] = {"all": whole}
    runs |= {str(margin): (lambda m=margin: early(m)) for margin in margins}
    seconds = fastest(runs, options.repeats, cpu_time=True)
    last, labels = whole(), data.labels
    print(f"{opened.name}, T={steps}, {options.engine}, {len(data)} samples of {data.source}, batches of {size}\n")
    print("| margin | mean steps | processor time | accuracy | choose otherwise |\n|---|---|---|---|---|")

    def right(chosen: np.ndarray) -> str:
        return "" if labels is None else f"{100 * (chosen == labels).mean():.1f} %"

    print(f"| none | {steps} | 1 | {right(last)} | |")
    for margin in margins:
        chosen, ended = early(margin)
        share = seconds[str(margin)] / seconds["all"]
        changed = 100 * (chosen != last).mean()
        print(f"| {margin:g} | {ended.mean():.2f} | {share:.2f} | {right(chosen)} | {changed:.1f} % |")


if __name__ == "__main__":
    main()
