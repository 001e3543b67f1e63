# SPDX-License-Identifier: Apache-2.0
"""The compiled scans are bit for bit the scans of torch, whose equations stand in `snncc.neurons`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scans import CASES, DTYPES, SHAPE, case, compare, currents

from snncc.execute.torch import fused_scan
from snncc.execute.torch.dispatch import scan
from snncc.ir.nodes import IF, CentredIF, MsatIF, Neuron, SignedIF
from snncc.neurons.node import Place


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_bit_for_bit(
    kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = fused_scan.kernel("cpu", dtype)
    if compiled is None:
        pytest.skip("no C compiler")
    compare(kind, options, dtype, compiled, monkeypatch)


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_currents_in_another_order(
    kind: type[Neuron], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels last, as convolutions behind a transposition give them, and a current that stays."""
    if fused_scan.kernel("cpu", torch.float32) is None:
        pytest.skip("no C compiler")
    monkeypatch.setattr(fused_scan, "LEAST", 0)
    node, arrays = case(kind, options, torch.float32)
    x = currents(kind, torch.float32)
    last = x.movedim(2, -1).contiguous().movedim(-1, 2)
    for other, same in ((last, x), (x[:1].expand_as(x), x[:1].expand_as(x).clone())):
        assert fused_scan.fusible(node, other)
        before = other.clone()
        found = scan(node, other, arrays, None, Place(samples=x.shape[1]), keep=True)
        expected = scan(node, same.clone(), arrays, None, Place(samples=x.shape[1]))
        assert torch.equal(found[0], expected[0])
        assert all(torch.equal(a, b) for a, b in zip(found[1], expected[1], strict=True))
        assert torch.equal(other, before)


def test_what_is_not_fused() -> None:
    x = torch.zeros(8, 600, *SHAPE[1:])
    stages = {"alpha": 0.2, "k_a": 2.0, "k_i": 2.0, "c": 2.0, "tau_mp": 0.2, "tau_rd": 0.2}
    msat, _ = case(MsatIF, stages, torch.float32)
    soft, _ = case(IF, {"reset": "subtract"}, torch.float32)
    assert not fused_scan.fusible(msat, x)
    assert not fused_scan.fusible(soft, x.transpose(2, 3))
    assert not fused_scan.fusible(soft, x.to(torch.float16))
    assert not fused_scan.fusible(soft, x[:1, :1])


def test_without_a_compiler_torch_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise fused_scan.CompileError("no C compiler")

    monkeypatch.setattr(fused_scan, "compiled", refuse)
    fused_scan.kernel.cache_clear()
    try:
        node, _ = case(IF, {"reset": "subtract"}, torch.float32)
        assert not fused_scan.fusible(node, torch.zeros(8, 600, *SHAPE[1:]))
    finally:
        fused_scan.kernel.cache_clear()


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_what_is_emitted_in_all(kind: type[Neuron], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the counts alone: the sum of the outputs; neurons without counts have to be simulated."""
    if fused_scan.kernel("cpu", torch.float64) is None:
        pytest.skip("no C compiler")
    monkeypatch.setattr(fused_scan, "LEAST", 0)
    node, arrays = case(kind, options, torch.float64)
    x = currents(kind, torch.float64)
    before = x.clone()
    found = fused_scan.emitted(node, x, arrays)
    assert torch.equal(x, before)
    if kind not in (SignedIF, CentredIF):
        assert found is None
        return
    expected = scan(node, before, arrays, None, Place(samples=x.shape[1]))[0].sum(0)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
