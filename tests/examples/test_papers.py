# SPDX-License-Identifier: Apache-2.0
"""The papers' MNIST examples in their quick form: the tables come out, without a mismatch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAPERS = Path(__file__).resolve().parents[2] / "examples" / "papers"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("paper", ["zou", "qffs"])
def test_quick(tmp_path: Path, data_folder: Path, paper: str) -> None:
    command = [sys.executable, str(PAPERS / paper / "run.py"), "--quick", "--out", str(tmp_path)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "SNNCC_DATA": str(data_folder)}
    )
    assert result.returncode == 0, result.stderr
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if re.match(r"\| [0-4] \|", line)]
    assert [r[0] for r in rows] == (["0", "1", "2"] if paper == "zou" else ["2", "3", "4"])
    for row in rows:
        ann, last, certificate = float(row[1]), float(row[-2]), row[-1]
        assert certificate.startswith("0 of ")
        assert abs(ann - last) <= 0.2
        assert ann > 93
