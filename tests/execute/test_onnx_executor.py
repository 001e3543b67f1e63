# SPDX-License-Identifier: Apache-2.0
"""The ONNX step graph in float32 against the reference in float64, on random networks whose numbers are exact."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from test_executors import FEEDS, SAMPLES, T, fixed, networks

from snncc.execute.executors import ReferenceExecutor
from snncc.execute.onnx.executor import OnnxExecutor
from snncc.ir.network import Network

POINTS = (1, 3, T)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks(dyadic=True))
def test_dyadic_networks(case: tuple[Network, dict[str, np.ndarray]]) -> None:
    """All numbers are small multiples of 1/8: potentials meet thresholds exactly, and no value may differ."""
    network, feeds = case
    found = OnnxExecutor(network).run(feeds, T, POINTS)
    want = ReferenceExecutor(network).run(feeds, T, POINTS)
    assert (found.positive, found.negative) == (want.positive, want.negative)
    assert found.events.keys() == want.events.keys()
    for name, events in want.events.items():
        assert np.array_equal(found.events[name], events), name
    for name, values in want.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], values, err_msg=name)


def test_clamped_entries_are_counted() -> None:
    found = OnnxExecutor(fixed()).run(FEEDS, T, (T,))
    want = ReferenceExecutor(fixed()).run(FEEDS, T, (T,))
    assert found.clamped == want.clamped != {"d": 0}


def test_a_batch_is_its_samples() -> None:
    executor = OnnxExecutor(fixed())
    together = executor.run(FEEDS, T, POINTS).outputs["y"]
    alone = [executor.run({"x": FEEDS["x"][i : i + 1]}, T, POINTS).outputs["y"] for i in range(SAMPLES)]
    np.testing.assert_array_equal(together, np.concatenate(alone, 1))
