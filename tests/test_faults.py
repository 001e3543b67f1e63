# SPDX-License-Identifier: Apache-2.0
"""After a kill at any step of writing, a full disk or another writer: the old result or the new one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCENES = ("convert", "full_disk", "read_only", "at_once", "finetuning", "batch", "summary", "emitting")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="renameat2, RLIMIT_FSIZE and fork as Linux has them")
@pytest.mark.parametrize("scene", SCENES)
def test_the_old_result_or_the_new_one_is_there(tmp_path: Path, scene: str) -> None:
    script = Path(__file__).with_name("faults.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, str(script), scene, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=500,
    )
    assert result.returncode == 0, result.stderr[-3000:]
