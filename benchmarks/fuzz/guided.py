# SPDX-License-Identifier: Apache-2.0
"""python benchmarks/fuzz/guided.py TARGET [libFuzzer options]: coverage-guided, where atheris is installed.

TARGET: onnx, npz, recipe or manifest; e.g. `guided.py npz -runs=100000`. It ends at the first input that gives
anything but success or an error of snncc's, and leaves that input as crash-*.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["snncc"]):
    from snncc import api
    from snncc.conversion import recipe
    from snncc.data import dataset as data
    from snncc.errors import InvariantBroken, SnnccError
    from snncc.zoo import plan

from fuzz.targets import TARGETS

SEEDS = 40


def main() -> None:
    """Make a corpus of damaged files, and let atheris go on from it."""
    name = sys.argv.pop(1)
    target, work = TARGETS[name], Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = work / "corpus"
    corpus.mkdir()
    path = work
    for seed in range(SEEDS):
        path = target.make(random.Random(f"{name} {seed}"), work)
        (corpus / str(seed)).write_bytes(path.read_bytes())

    def one(content: bytes) -> None:
        path.write_bytes(content)
        try:
            target.read(path)
        except InvariantBroken:
            raise
        except SnnccError:
            return

    print(
        f"{name}: {len(list(corpus.iterdir()))} files in {corpus}; {api.__name__}, {data.__name__}, {recipe.__name__}"
    )
    print(f"and {plan.__name__} are instrumented")
    atheris.Setup([*sys.argv, str(corpus), "-max_len=8192", "-timeout=10", "-rss_limit_mb=4096"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
