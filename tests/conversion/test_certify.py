# SPDX-License-Identifier: Apache-2.0
"""The lossless certificate: it holds where conversion is exact and names the first mismatch where it is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from quantized_models import converted, quantized_net, ternary_net
from snncc import api
from snncc.conversion.certify import certifiable, certify
from snncc.errors import EmitError
from snncc.execute import reference
from snncc.integer import lower
from snncc.ir.network import Network
from snncc.ir.nodes import SignedIF


def test_qffs_is_lossless() -> None:
    case, x = quantized_net([3, 2, 3, 4])
    found = certify(converted(case, "qffs"), case.context.ann, [{"x": x[:9]}, {"x": x[9:]}])
    assert found is not None
    assert found.lossless
    assert (found.mismatches, found.moved, found.samples) == (0, 0, 16)
    assert found.neurons == 4 * 36 + 4 * 9 + 8 + 5
    assert found.settled is not None
    assert 7 < found.settled < found.steps


def altered(net: Network, **fields: object) -> Network:
    """The network with other neurons."""
    return net.replaced([msgspec.structs.replace(n, **fields) for n in net.nodes if isinstance(n, SignedIF)])


def test_a_moved_threshold_is_found_and_named() -> None:
    case, x = quantized_net([2, 2, 2, 3])
    net = converted(case, "qffs")
    moved = net.with_arrays({"q2/threshold": net.arrays["q2/threshold"] * np.float32(1.3)})
    found = certify(moved, case.context.ann, [{"x": x}])
    assert found is not None
    assert found.mismatches == 0  # its own quantised ANN has that threshold too
    assert found.moved > 0


def test_a_wrong_neuron_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    case, x = quantized_net([2, 2, 2, 3])
    net = altered(converted(case, "qffs"), negative="signed")
    assert not certifiable(net)
    monkeypatch.setattr("snncc.conversion.certify.certifiable", lambda net: True)
    found = certify(net, case.context.ann, [{"x": x}])
    assert found is not None
    assert not found.lossless
    assert found.mismatches > 0
    assert found.first is not None
    assert "count" in found.first


def test_the_literal_rule_oscillates_on_ties() -> None:
    """QFFS's algorithm 1 prints u <= 0: a neuron that ends at u = 0 then fires for ever, so nothing is certified."""
    case, x = quantized_net([2, 2, 2, 3], ties=True)
    strict = converted(case, "qffs")
    case, _ = quantized_net([2, 2, 2, 3], ties=True)
    literal = converted(case, "qffs", convert_quantized={"negative": "at_zero"})
    assert any("never settle" in note.text for note in case.context.notes)
    assert not certifiable(literal)
    late = {}
    for name, net in (("strict", strict), ("literal", literal)):
        states = reference.run(net, {"x": x}, 40)
        late[name] = sum(int(np.count_nonzero(states[-1][n.name])) for n in net.nodes if isinstance(n, SignedIF))
    assert late["strict"] == 0
    assert late["literal"] > 0
    with pytest.raises(EmitError, match="oscillate"):
        lower(literal, case.context.calibration)


def test_what_never_ends_is_not_certified() -> None:
    case, _ = quantized_net([2, 2, 2, 3])
    case.apply("recognize_quantized_activations")
    for name in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions", "select_neuron"):
        case.apply(name)
    net = case.apply("balance_thresholds")
    assert certify(net, case.context.ann, []) is None


@pytest.mark.parametrize("k", [0, 1, 2])
def test_zou_is_lossless(k: int) -> None:
    case, _, x = ternary_net(k)
    found = certify(converted(case, "zou"), case.context.ann, [{"x": x}])
    assert found is not None
    assert found.lossless
    assert found.moved == 0


def test_coarse_thresholds_move_levels() -> None:
    case, _, x = ternary_net(2)
    net = converted(case, "zou", round_thresholds={"scale": 10})
    found = certify(net, case.context.ann, [{"x": x}])
    assert found is not None
    assert found.lossless
    assert found.moved > 0


def test_convert_certifies_and_takes_the_settled_time() -> None:
    case, x = quantized_net([2, 2, 2, 3])
    result = api.convert(case.model, method="qffs", calib=case.context.calibration, write=False)
    certificate = result.manifest.certificate
    assert certificate is not None
    assert certificate.lossless
    assert result.manifest.timesteps == certificate.settled
    assert f"settled at T={certificate.settled} over".encode() in result.files["report.html"]
    assert b'"certificate"' in result.files["report.json"]
    module = result.module()
    assert np.allclose(module(torch.from_numpy(x)).numpy(), case.truth.run({"x": x}, ["y"])["y"], atol=1e-4)
    assert (
        api.convert(case.model, method="rate", calib=case.context.calibration, write=False).manifest.certificate is None
    )


@pytest.mark.parametrize("method", ["qffs", "zou"])
def test_the_emitted_module_is_the_same_network(tmp_path: Path, method: str) -> None:
    case, x = quantized_net([3, 2, 3, 4]) if method == "qffs" else ternary_net(1)[::2]
    result = api.convert(case.model, method=method, calib=case.context.calibration, out=tmp_path / "m.snn")
    spec = importlib.util.spec_from_file_location("emitted", tmp_path / "m.snn" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    emitted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emitted)
    for steps in (1, 4, result.manifest.timesteps):
        found = emitted.SpikingNetwork()(torch.from_numpy(x), timesteps=steps)
        assert torch.allclose(found, result.module()(torch.from_numpy(x), timesteps=steps), atol=1e-5)
