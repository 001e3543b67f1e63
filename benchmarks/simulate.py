# SPDX-License-Identifier: Apache-2.0
"""Time per image of a simulation against onnxruntime's ANN, as ratios taken in one run.

    python benchmarks/simulate.py BUNDLE [--timesteps 1 2 4 8 16] [--batch 32] [--repeats 5]

Both run on the bundle's own samples, alternately, in one process with the same number of threads; the smallest of the
repeats counts. The ratio of time per image is what the table is about, the milliseconds belong to this machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from snncc.bundles.bundle import open_bundle
from snncc.execute.plan import plan
from snncc.execute.torch.engine import Engine


def fastest(run: Callable[[], object], repeats: int) -> float:
    """The smallest of several times, after one run to warm up."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    truth, engine = bundle.truth(), Engine(bundle.network)
    samples = bundle.samples(truth)
    feeds = next(samples.batches(min(options.batch, len(samples))))
    count = truth.count(feeds)
    ann = fastest(lambda: truth.run(feeds), options.repeats)
    print(f"{bundle.name} by {bundle.manifest.method}, batch {count}, {torch.get_num_threads()} threads")
    print(f"{'':>12} {'ms/image':>9} {'x ANN':>7}")
    print(f"{'onnxruntime':>12} {1e3 * ann / count:9.3f} {1:7.2f}")
    for timesteps in options.timesteps:
        _, piece = plan(bundle.network, timesteps, count)
        seconds = fastest(
            lambda t=timesteps, p=piece: engine.run(feeds, t, steps_at_once=p, count=False), options.repeats
        )
        print(f"{'T = ' + str(timesteps):>12} {1e3 * seconds / count:9.3f} {seconds / ann:7.2f}")


if __name__ == "__main__":
    main()
