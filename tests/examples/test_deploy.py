# SPDX-License-Identifier: Apache-2.0
"""The README of `examples/deploy` is run as it stands, block by block."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from code_blocks import blocks

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_readme(tmp_path: Path) -> None:
    if any(shutil.which(name) is None for name in ("cc", "make")):
        pytest.skip("needs a C compiler and make")
    for name in ("digits", "deploy"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = []
    for block in [b.text for b in blocks("examples/deploy/README.md") if not b.reason]:
        if "CC=arm-" in block and any(shutil.which(n) is None for n in ("arm-linux-gnueabihf-gcc", "qemu-arm-static")):
            continue
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path / "deploy",
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, block + result.stdout + result.stderr
        found.append(result.stdout)
    label = re.search(r"LABEL (\d)", (tmp_path / "deploy" / "image.h").read_text())
    assert label is not None
    assert "golden vectors: 4 samples, 8 steps, 6 layers: equal" in found[1]
    assert re.findall(rf"^class {label[1]} after (\d+) steps$", found[2], re.M)[0] == "8"
    assert "\nstep 8: class" in found[2]
