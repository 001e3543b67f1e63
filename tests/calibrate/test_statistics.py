# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import parser

from snncc.ann.truth import Truth
from snncc.calibrate import statistics
from snncc.calibrate.statistics import Request, Summary, collect
from snncc.errors import CalibrationError


def truth(body: str) -> Truth:
    return Truth(parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\nm {body}'))


NET = truth("""(float[N, 2, 3] x) => (float[N, 2, 3] y)
<float[3, 3] W = {1, 2, -1, 0.5, -1, 1, 0.25, 3, -2}> { h = MatMul(x, W) y = Relu(h) }""")
X = np.random.default_rng(0).standard_normal((150, 2, 3)).astype(np.float32)
W = np.array([[1, 2, -1], [0.5, -1, 1], [0.25, 3, -2]], np.float32)
GRANULARITIES = {"layer": (0, 1, 2), "channel": (0, 2), "neuron": (0,)}
REQUESTS = [Request(value, granularity, histogram=True) for value in ("h", "y") for granularity in GRANULARITIES]  # type: ignore[arg-type]


def batches(data: np.ndarray, sizes: list[int]) -> Iterator[dict[str, np.ndarray]]:
    start = 0
    for size in [*sizes, len(data)]:
        if start < len(data) and size:
            yield {"x": data[start : start + size]}
        start += size


def state(summary: Summary) -> list[bytes]:
    arrays = [summary.min, summary.max, summary.mean, summary.percentile(99.0), summary.percentile(50, nonzero=True)]
    return [array.tobytes() for array in arrays] + [str(summary.count).encode()]


def test_powers_are_mean_squares_of_samples() -> None:
    found: dict[str, np.ndarray] = {}
    collect(NET, batches(X, [70, 1]), REQUESTS, powers=found)
    values = NET.run({"x": X}, ["h", "y"])
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_allclose(found[name], np.square(value.astype(np.float64)).mean((1, 2)), rtol=1e-12)


def test_statistics_are_those_of_the_values() -> None:
    seen: list[int] = []
    found = collect(NET, batches(X, [70, 1]), REQUESTS, progress=seen.append)
    h = NET.run({"x": X}, ["h"])["h"]
    assert seen == [64, 128, 150]
    for request, summary in found.items():
        value = np.maximum(h, 0) if request.value == "y" else h
        axes = GRANULARITIES[request.granularity]
        want = value.max(axes, keepdims=True)
        assert summary.shape == want.shape
        np.testing.assert_allclose(summary.max, want, rtol=1e-6)
        np.testing.assert_allclose(summary.min, value.min(axes, keepdims=True), rtol=1e-6)
        np.testing.assert_allclose(summary.mean, value.mean(axes, keepdims=True, dtype=np.float64), atol=1e-6)
        percentile = np.percentile(value, 99.0, axes, method="inverted_cdf", keepdims=True)
        np.testing.assert_allclose(summary.percentile(99.0), percentile, rtol=summary.error)
        assert summary.count == value.size // want.size


@settings(max_examples=20)
@given(st.lists(st.integers(0, 90), max_size=6))
def test_the_batch_size_changes_no_bit(sizes: list[int]) -> None:
    whole = collect(NET, batches(X, []), REQUESTS)
    split = collect(NET, batches(X, sizes), REQUESTS)
    assert [state(whole[request]) for request in REQUESTS] == [state(split[request]) for request in REQUESTS]


# Whole numbers of few bits are computed without rounding, wherever in a batch they lie.
EXACT = truth("(float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 99))
def test_order_and_merging_change_no_bit(seed: int, cut: int) -> None:
    data = X.reshape(-1, 4)[:100]
    shuffled = np.random.default_rng(seed).permutation(data)
    requests = [Request("y", granularity, histogram=True) for granularity in GRANULARITIES]  # type: ignore[arg-type]
    whole = collect(EXACT, [{"x": data}], requests)
    parts = [collect(EXACT, [{"x": part}], requests) for part in (shuffled[:cut], shuffled[cut:])]
    for request in requests:
        parts[0][request].merge(parts[1][request])
        assert state(parts[0][request]) == state(whole[request])


def test_small_memory_means_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(statistics, "_BATCH_BYTES", 4 * 24)
    collect(NET, batches(X[:10], [3, 3]), [Request("h", "layer")], progress=sizes.append)
    assert sizes == [4, 8, 10]


def test_a_batch_axis_merged_with_another() -> None:
    net = truth("""(float[N, 2, 3] x) => (float[N, 2, 3] y)
    <int64[2] s = {-1, 3}, int64[3] t = {-1, 2, 3}> { h = Reshape(x, s) r = Relu(h) y = Reshape(r, t) }""")
    request = Request("r", "neuron", histogram=True)
    found = collect(net, batches(X, [10]), [request])[request]
    assert found.shape == (2, 3)
    np.testing.assert_array_equal(found.max, np.maximum(X, 0).max(0))
    layer = Request("r", "layer")
    assert collect(net, batches(X, []), [layer])[layer].shape == (1, 1)


@pytest.mark.parametrize("n", ["N", "1"])
def test_a_batch_axis_elsewhere(n: str) -> None:
    net = truth(f"""(float[{n}, 2, 3] x) => (float[{n}, 2, 3] y)
    {{ h = Transpose<perm=[1, 0, 2]>(x) r = Relu(h) y = Transpose<perm=[1, 0, 2]>(r) }}""")
    request = Request("r", "neuron", axis=2, batch_axis=1)
    found = collect(net, batches(X, [7]), [request])[request]
    np.testing.assert_array_equal(found.max, np.maximum(X, 0).max(0)[:, None])
    channel = Request("r", "channel", axis=-1, batch_axis=-2)
    np.testing.assert_array_equal(
        collect(net, batches(X, [7]), [channel])[channel].max, np.maximum(X, 0).max((0, 1))[None, None]
    )


def test_samples_of_different_sizes_by_channel_only() -> None:
    net = truth("(float[N, 2, L] x) => (float[N, 2, L] y) { y = Relu(x) }")
    data = [{"x": X[:5]}, {"x": X[5:9, :, :2]}]
    with pytest.raises(CalibrationError, match=r"'y' changes its shape .* \[1, 2, 3\] and then \[4, 2, 2\]"):
        collect(net, data, [Request("y", "neuron")])


def test_refusals() -> None:
    with pytest.raises(CalibrationError, match="no calibration samples"):
        collect(NET, [], REQUESTS)
    log = truth("(float[N, 2] x) => (float[N, 2] y) { y = Log(x) }")
    for value in (0.0, -1.0):
        with pytest.raises(CalibrationError, match="value 'y': there are NaN or infinite"):
            collect(log, [{"x": np.array([[1.0, value]])}], [Request("y", "layer")])
    bare = Request("y", "layer")
    summary = collect(log, [{"x": np.ones((1, 2))}], [bare])[bare]
    for ask in (lambda: summary.percentile(50), lambda: summary.error):
        with pytest.raises(CalibrationError, match="without a histogram"):
            ask()
    with pytest.raises(CalibrationError, match="cannot be merged"):
        summary.merge(Summary(Request("y", "channel"), (1, 2)))
    for request, message in (
        (Request("y", "channel", axis=2), "rank 2 has no axis 2"),
        (Request("y", "channel", axis=0), "lie on the same axis"),
        (Request("y", "layer", batch_axis=2), "no axis 2 that carries the 3 samples"),
        (Request("x", "layer", batch_axis=1), r"\[3, 2\] has no axis 1 that carries the 3 samples"),
    ):
        with pytest.raises(CalibrationError, match=message):
            collect(log, [{"x": np.ones((3, 2))}], [request])
    with pytest.raises(CalibrationError, match="two different batch axes"):
        collect(log, [{"x": np.ones((3, 2))}], [Request("y", "layer"), Request("y", "layer", batch_axis=1)])
