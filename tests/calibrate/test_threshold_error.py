# SPDX-License-Identifier: Apache-2.0
"""The compiled sum of squared errors of rates against the one in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.calibrate import threshold_error
from snncc.calibrate.fused_errors import kernel
from snncc.calibrate.threshold_error import Search, add_errors

FACTORS = np.linspace(1.0, 0.06, 24)


@pytest.mark.parametrize(("statistics", "observations"), [(300, 17), (3, 5000)])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("counts", [2, 12])
def test_compiled_errors(
    statistics: int, observations: int, centred: bool, counts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel() is None:
        pytest.skip("no C compiler")
    rows = np.random.default_rng(0).standard_normal((statistics, observations)).astype(np.float32)
    level = np.maximum(rows.max(1), 0).astype(np.float64)
    level[1] = 0  # never active
    mean = np.maximum(rows, 0).mean(1, dtype=np.float64) if centred else None
    search = Search(level=level, counts=counts, mean=mean)
    compiled, plain = (np.zeros((len(FACTORS), statistics)) for _ in range(2))
    add_errors(compiled, np.asfortranarray(rows), search, FACTORS)
    monkeypatch.setattr(threshold_error, "fused_errors", lambda *_: False)
    add_errors(plain, rows, search, FACTORS)
    assert np.allclose(compiled, plain, rtol=1e-5, atol=0)
    assert (plain[:, 0] > 0).all()
