# SPDX-License-Identifier: Apache-2.0
"""Neurons and currents that try a fused scan: thresholds of 0, ties, and a state carried from piece to piece."""

from __future__ import annotations

from typing import Any

import torch

from snncc.execute.torch import fused_scan
from snncc.execute.torch.dispatch import scan
from snncc.ir.nodes import IF, AdaptiveIF, CentredIF, LeakyIF, MultiThreshold, Neuron, SignedIF
from snncc.neurons.node import Place

SHAPE = (1, 3, 5, 7)
DTYPES = (torch.float32, torch.float64)
CASES: list[tuple[type[Neuron], dict[str, Any]]] = [
    *[(IF, {"reset": reset, "burst": burst}) for reset in ("subtract", "zero") for burst in (1, 3)],
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
    *[(LeakyIF, {"negative": n, "levels": m}) for n, m in (("early", 1), ("signed", 1), ("early", 3))],
    *[(MultiThreshold, {"sizes": sizes}) for sizes in (1, 6)],
    *[(AdaptiveIF, {"subtract": subtract, "eta": 0.4}) for subtract in ("vmax", "vcur", "graded")],
    *[(AdaptiveIF, {"rule": "alg2", "scope": scope, "subtract": "graded"}) for scope in ("sample", "batch")],
    (AdaptiveIF, {"adapt": False, "subtract": "vcur"}),
]


def case(kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype) -> tuple[Neuron, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    threshold = torch.rand(SHAPE, dtype=dtype, generator=generator).mul(8).ceil() / 4  # ties do occur
    threshold.view(-1)[::7] = 0
    centre = torch.randint(0, 4, SHAPE, generator=generator) * (threshold > 0)
    arrays = {"t": threshold, "a": threshold * 1.3, "v": threshold / 2, "c": centre.to(dtype), "s": threshold * 0.1}
    more = {CentredIF: {"centre": "c"}, LeakyIF: {"slope": "s"}}.get(kind, {})
    names = {"threshold": "t", "amplitude": "a", "v_init": "v"}
    return kind(name="s", inputs=("x",), shape=SHAPE, batch=0, **names, **more, **options), arrays


def currents(kind: type[Neuron], dtype: torch.dtype) -> torch.Tensor:
    """Eight steps of eleven samples, on the grid of the thresholds; smaller where the largest moves the threshold."""
    x = torch.randn(8, 11, *SHAPE[1:], dtype=dtype, generator=torch.Generator().manual_seed(5)).mul(4).round() / 4
    return x / 16 if kind is AdaptiveIF else x


def in_two_pieces(node: Neuron, arrays: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The output and both states after two calls; the first one leaves its currents alone, the second need not."""
    state, pieces, before = None, [], x.clone()
    for begin, end in ((0, 5), (5, len(x))):
        place, keep = Place(samples=x.shape[1], first_step=begin), begin == 0
        out, state = scan(node, x[begin:end], arrays, state, place, keep=keep)
        assert keep == torch.equal(x[begin:end], before[begin:end])
        pieces.append(out)
    assert state is not None
    return torch.cat(pieces), state[0], state[1]


def compare(
    kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype, fused: Any, patch: Any, device: str = "cpu"
) -> None:
    """A fused scan against that of torch, which runs where there is no kernel."""
    node, arrays = case(kind, options, dtype)
    arrays = {name: array.to(device) for name, array in arrays.items()}
    x = currents(kind, dtype).to(device)
    patch.setattr(fused_scan, "LEAST", 0)
    found = []
    for function in (fused, None):
        patch.setattr(fused_scan, "kernel", lambda device, dtype, f=function: f)
        assert fused_scan.fusible(node, x) == (function is not None)
        found.append(in_two_pieces(node, arrays, x.clone()))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert found[0][0].abs().sum() > 0
    assert (found[0][0] == 0).any()
