# SPDX-License-Identifier: Apache-2.0
"""The compiled scans are bit for bit the scans of torch, whose equations stand in `snncc.neurons`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from snncc.execute import fused_scan
from snncc.execute.torch_dispatch import Place, scan
from snncc.ir.nodes import IF, CentredIF, LeakyIF, Neuron, SignedIF

SHAPE = (1, 3, 5, 7)
CASES: list[tuple[type[Neuron], dict[str, Any]]] = [
    (IF, {"reset": "subtract"}),
    (IF, {"reset": "subtract", "burst": 3}),
    *[
        (SignedIF, {"negative": negative, "cap": cap, "levels": levels})
        for negative, cap, levels in (
            ("early", None, 1),
            ("signed", None, 1),
            ("early", 2, 1),
            ("signed", 2, 1),
            ("at_zero", None, 1),
            ("at_zero", 2, 1),
            ("early", None, 2),
            ("early", 3, 4),
        )
    ],
    (CentredIF, {"until": 3, "levels": 1}),
    (CentredIF, {"until": 9, "levels": 2}),
]


def case(kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype) -> tuple[Neuron, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    threshold = torch.rand(SHAPE, dtype=dtype, generator=generator).mul(8).ceil() / 4  # ties do occur
    threshold.view(-1)[::7] = 0
    centre = torch.randint(0, 4, SHAPE, generator=generator) * (threshold > 0)
    arrays = {"t": threshold, "a": threshold * 1.3, "v": threshold / 2, "c": centre.to(dtype)}
    more = {"centre": "c"} if kind is CentredIF else {}
    names = {"threshold": "t", "amplitude": "a", "v_init": "v"}
    return kind(name="s", inputs=("x",), shape=SHAPE, batch=0, **names, **more, **options), arrays


def in_two_pieces(node: Neuron, arrays: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    state, pieces = None, []
    for begin, end in ((0, 5), (5, len(x))):
        out, state = scan(node, x[begin:end].clone(), arrays, state, Place(samples=x.shape[1], first_step=begin))
        pieces.append(out)
    assert state is not None
    return torch.cat(pieces), state[0], state[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_bit_for_bit(
    kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fused_scan.kernel(dtype) is None:
        pytest.skip("no C compiler")
    node, arrays = case(kind, options, dtype)
    x = torch.randn(8, 11, *SHAPE[1:], dtype=dtype, generator=torch.Generator().manual_seed(5)).mul(4).round() / 4
    found = []
    for least in (0, math.inf):
        monkeypatch.setattr(fused_scan, "LEAST", least)
        assert fused_scan.fusible(node, x) == (least == 0)
        found.append(in_two_pieces(node, arrays, x))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert found[0][0].abs().sum() > 0


def test_what_is_not_fused() -> None:
    x = torch.zeros(8, 600, *SHAPE[1:])
    leaky = LeakyIF(name="s", inputs=("x",), shape=SHAPE, batch=0, threshold="t", amplitude="a", v_init="v", slope="t")
    hard, _ = case(IF, {"reset": "zero"}, torch.float32)
    soft, _ = case(IF, {"reset": "subtract"}, torch.float32)
    assert not fused_scan.fusible(leaky, x)
    assert not fused_scan.fusible(hard, x)
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
