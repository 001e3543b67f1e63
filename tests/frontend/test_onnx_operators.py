# SPDX-License-Identifier: Apache-2.0
"""Every operator out to ONNX again: the event-driven form of each in onnxruntime, against the reference."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pytest
from onnx_cases import Case, event_driven
from test_operators_a import CASES, is_finite_rate
from three_ways import prepared

from snncc.execute import reference
from snncc.execute.executors import ReferenceExecutor
from snncc.execute.onnx.executor import OnnxExecutor

STEPS, POINTS = 4, (1, 4)


def by_operator() -> Iterator[tuple[str, list[Case]]]:
    rows = sorted((row for row in CASES if is_finite_rate(row)), key=lambda row: row.op)
    for op, found in groupby(rows, key=lambda row: row.op):
        yield op, list(found)


TABLE = dict(by_operator())


@pytest.mark.parametrize("op", TABLE)
def test_differential_form(op: str) -> None:
    for row in TABLE[op]:
        _, lowered = prepared(row.model())
        assert lowered.network is not None
        feeds = {name: x[:1] if row.one_at_a_time else x for name, x in row.feeds.items()}
        network = event_driven(lowered.network, reference.evaluate(lowered.network, feeds))
        found = OnnxExecutor(network).run(feeds, STEPS, POINTS)
        want = ReferenceExecutor(network).run(feeds, STEPS, POINTS)
        for name in network.outputs:
            assert found.outputs[name].shape == want.outputs[name].shape, row.name
            scale = max(1e-6, float(np.abs(want.outputs[name]).max(initial=0)))
            np.testing.assert_allclose(found.outputs[name] / scale, want.outputs[name] / scale, atol=1e-4)
