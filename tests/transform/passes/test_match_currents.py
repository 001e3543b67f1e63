# SPDX-License-Identifier: Apache-2.0
"""The correction on spiking inputs: the regression, the routes to a neuron, and that it pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from small_models import Case, dataset, lowered, normal, parsed
from snncc.conversion.recipe import BY_NAME
from snncc.execute.torch.engine import Engine
from snncc.functions.torch import linear as torch_linear
from snncc.ir.nodes import Conv, ConvTranspose, Linear
from snncc.transform.features import as_coefficients, as_weight, patches, positions, ridge, targets, validated_ridge

DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "digits.onnx"
BASE: dict[str, Any] = {"name": "a", "inputs": ("x",), "shape": (1,), "batch": 0, "weight": "w"}


@pytest.mark.parametrize(("groups", "stride", "padding", "dilation"), [
    (1, (1, 1), (1, 1, 1, 1), (1, 1)), (2, (2, 1), (1, 0, 2, 1), (1, 2)), (4, (1, 1), (0, 0, 0, 0), (1, 1)),
])  # fmt: skip
@pytest.mark.parametrize("transposed", [False, True])
def test_regression_on_patches_finds_the_weights(
    groups: int, stride: Any, padding: Any, dilation: Any, transposed: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4, 9, 8).double()
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if transposed:
        w = torch.randn(4, 8 // groups, 3, 2).double()
        node: Any = ConvTranspose(**BASE, **options, output_padding=(1, 0) if stride == (2, 1) else (0, 0))
        y = torch_linear.transposed_convolution(x, w, None, **options, output_padding=node.output_padding)
    else:
        w = torch.randn(8, 4 // groups, 3, 2).double()
        node = Conv(**BASE, **options)
        y = torch_linear.convolution(x, w, None, **options)
    rows = torch.arange(positions(node, tuple(y.shape)))
    delta, intercept = ridge(patches(x, node, w, rows), targets(y + 3, node, rows), 1e-12)
    assert torch.allclose(as_weight(delta, node, w), w, atol=1e-9)
    assert torch.allclose(intercept, torch.full_like(intercept, 3.0), atol=1e-9)


@pytest.mark.parametrize("axis", [1, 3])
def test_regression_along_an_axis(axis: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 4, 3, 6).double()
    w = torch.randn(7, x.shape[axis]).double()
    node = Linear(**BASE, axis=axis)
    y = torch_linear.linear(x, w, None, axis=axis)
    rows = torch.arange(positions(node, tuple(y.shape)))
    delta, _ = ridge(patches(x, node, w, rows), targets(y, node, rows), 1e-12)
    assert torch.allclose(as_weight(delta, node, w), w, atol=1e-9)


def test_primal_and_dual_ridge_agree() -> None:
    torch.manual_seed(0)
    f, r = torch.randn(1, 12, 12).double(), torch.randn(1, 12, 3).double()
    primal, c = ridge(f, r, 0.1)
    wide = torch.cat([f, torch.zeros(1, 12, 12)], 2).double()
    dual, d = ridge(wide, r, 0.2)  # twice the features of half the mean power: the same penalty
    assert torch.allclose(dual[:, :12], primal, atol=1e-10)
    assert torch.allclose(c, d, atol=1e-10)


def test_ridge_towards_present_coefficients() -> None:
    """Against least squares with the penalty as further rows, in float64 and (rows in pieces) in float32."""
    rng, strength = np.random.default_rng(0), 0.03
    f, present = rng.standard_normal((600, 7)) @ rng.standard_normal((7, 7)), rng.standard_normal((7, 2))
    y = f @ (present + 0.3) + 0.2 + 0.1 * rng.standard_normal((600, 2))
    damping = np.sqrt(strength * (f**2).sum(0).mean())
    design = np.block([[f, np.ones((600, 1))], [damping * np.eye(7), np.zeros((7, 1))]])
    wanted = np.linalg.lstsq(design, np.concatenate([y, damping * present]))[0]
    features, targets_, start = (torch.from_numpy(a)[None] for a in (f, y, present))
    for rows in (600, 6):  # 6 rows: the dual form
        found, c = ridge(features[:, :rows], targets_[:, :rows], strength, start)
        if rows == 600:
            assert np.allclose(torch.cat([found[0], c]).numpy(), wanted, atol=1e-8)
    explicit = ridge(features[:, :6], targets_[:, :6] - features[:, :6] @ start, strength)
    assert torch.allclose(found, start + explicit[0])
    assert torch.allclose(c, explicit[1])
    single = validated_ridge([(features, targets_)], 600, strength, start)
    cuts = list(zip(features.float().split(7, 1), targets_.float().split(7, 1), strict=True))
    pieces = validated_ridge(cuts, 600, strength, start)
    assert torch.allclose(single[0], pieces[0], atol=1e-4)
    assert torch.allclose(single[1], pieces[1], atol=1e-4)


@pytest.mark.parametrize("kind", [Conv, ConvTranspose, Linear])
def test_coefficients_and_weights(kind: Any) -> None:
    weight = torch.randn(6, 4) if kind is Linear else torch.randn(6, 4, 3, 2)
    options = (
        {"axis": 1} if kind is Linear else {"stride": (1, 1), "padding": (0,) * 4, "dilation": (1, 1), "groups": 2}
    )
    node = kind(**BASE, **options, **({"output_padding": (0, 0)} if kind is ConvTranspose else {}))
    assert torch.equal(as_weight(as_coefficients(node, weight), node, weight).float(), weight)


NETS = {
    "chain": "{ a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w2) d = Relu(c) "
    "e = Conv<pads=[1,1,1,1]>(d, w3) f = Relu(e) g = Flatten(f) y = Gemm(g, w4) }",
    "residual": "{ a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w2) d = Relu(c) "
    "e = Conv<pads=[1,1,1,1]>(d, w3) s = Add(e, b) f = Relu(s) g = Flatten(f) y = Gemm(g, w4) }",
    "pooled": "{ a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) p = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(b) "
    "c = Conv<pads=[1,1,1,1]>(p, w2) q = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(c) d = Relu(q) "
    "g = Flatten(d) y = Gemm(g, w4) }",
    "shared": "{ a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w2) d = Relu(c) "
    "e = Conv<pads=[1,1,1,1]>(d, w2) f = Relu(e) g = Flatten(f) y = Gemm(g, w4) }",
    "function": "{ a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w2) m = Sigmoid(c) "
    "n = Mul(m, b) e = Conv<pads=[1,1,1,1]>(n, w3) f = Relu(e) g = Flatten(f) y = Gemm(g, w4) }",
}


def smooth(seed: int, count: int) -> np.ndarray:
    """Images that vary along few directions, as real ones do."""
    return (normal(seed, count, 4) @ normal(100, 4, 48)).reshape(count, 3, 4, 4) * np.float32(0.5)


def matched(name: str, correct: bool) -> tuple[Case, float, float]:
    """The case, and the relative error on the calibration samples and on others."""
    weights = {f"w{i}": normal(i, 3, 3, 3, 3) * 0.3 + 0.05 for i in (1, 2, 3)} | {"w4": normal(9, 48, 5) * 0.2}
    x, fresh = smooth(5, 384), smooth(6, 200)
    case = lowered(parsed(f"g (float[N,3,4,4] x) => (float[] y) {NETS[name]}", **weights), dataset(x=x), timesteps=2)
    case.spiking(kind="signed_if", negative="early")
    case.apply("minimize_threshold_error", granularity="neuron")
    case.apply("initialize_membrane")
    if correct:
        case.apply("match_currents")
    errors = []
    for samples in (x, fresh):
        expected = case.truth.run({"x": samples})["y"]
        found = Engine(case.network).run({"x": samples}, 2).outputs["y"][0].numpy()
        errors.append(float(np.square(found - expected).mean() / np.square(expected).mean()))
    return case, errors[0], errors[1]


@pytest.mark.parametrize("name", NETS)
def test_every_topology_goes_through(name: str) -> None:
    """On random weights there is little to correct; the network stays sound and as near to the ANN as it was."""
    _, seen_before, fresh_before = matched(name, correct=False)
    case, seen, fresh = matched(name, correct=True)
    assert seen < 1.2 * seen_before
    assert fresh < 1.2 * fresh_before
    names = [n.name for n in case.network.nodes]
    assert len(names) == len(set(names))


def test_it_pays_on_a_trained_network() -> None:
    data = np.load(DIGITS.with_suffix(".npz"))
    errors: dict[tuple[str, bool], float] = {}
    for correct in (False, True):
        case = lowered(onnx.load(DIGITS), dataset(image=data["calib_x"]), timesteps=2)
        case.spiking(kind="signed_if", negative="early")
        case.apply("minimize_threshold_error", granularity="neuron")
        case.apply("initialize_membrane")
        if correct:
            case.apply("match_currents")
        for split in ("calib_x", "x"):
            expected = case.truth.run({"image": data[split]})["logits"]
            found = Engine(case.network).run({"image": data[split]}, 2).outputs["logits"][0].numpy()
            errors[split, correct] = float(np.square(found - expected).mean() / np.square(expected).mean())
    assert errors["calib_x", True] < 0.85 * errors["calib_x", False]
    assert errors["x", True] < 0.9 * errors["x", False]


def test_the_result_depends_on_the_seed_alone() -> None:
    one, two = matched("residual", correct=True)[0], matched("residual", correct=True)[0]
    assert one.network == two.network


def test_the_pass_is_measured_and_needs_thresholds() -> None:
    assert BY_NAME["match_currents"].needs == {"thresholds", "membrane"}


def test_a_network_of_one_number() -> None:
    case = lowered(parsed("g (float x) => (float y) { y = Relu(x) }"), dataset(x=normal(1, 40)), timesteps=4)
    case.spiking(kind="signed_if", negative="early")
    case.apply("minimize_threshold_error", granularity="neuron")
    case.apply("initialize_membrane")
    case.apply("match_currents")
    assert all(np.isfinite(a).all() for a in case.network.arrays.values())
