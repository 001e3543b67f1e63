# SPDX-License-Identifier: Apache-2.0
"""See `fuzz.run`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.run import campaign, child


def main() -> int:
    """Run the targets asked for and print what they gave."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return 0
    names = ("onnx", "npz", "recipe", "manifest", "bundle")
    parser = argparse.ArgumentParser(prog="benchmarks/fuzz")
    parser.add_argument("targets", nargs="*", default=names)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = 0
    for name in options.targets:
        began = time.perf_counter()
        tally = campaign(name, options.count, options.seed)
        counts = ", ".join(f"{count} {what}" for what, count in tally.counts.most_common())
        print(f"{name}: {tally.counts.total()} inputs in {time.perf_counter() - began:.0f} s: {counts}", flush=True)
        alike = Counter(text.split(": ", 1)[-1][:160] for _, text in tally.findings)
        first = {text.split(": ", 1)[-1][:160]: (seed, text) for seed, text in reversed(tally.findings)}
        for key, times in alike.most_common(40):
            print(f"  {times} x, first seed {first[key][0]}: {first[key][1][:300]}", flush=True)
        found += len(tally.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
