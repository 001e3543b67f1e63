# SPDX-License-Identifier: Apache-2.0
"""Damaged files give an error with a message: no traceback, hang, crash, pickle, process or write.

`python benchmarks/fuzz` does the same with many more inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from fuzz.run import campaign


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "npz", "recipe", "manifest", "bundle"])
def test_two_hundred_damaged_files(target: str) -> None:
    tally = campaign(target, 200)
    assert tally.findings == []
    assert tally.counts.total() == 200
    assert len(tally.counts) > 1, "some succeed and some are refused, else the mutations are too weak or too strong"
