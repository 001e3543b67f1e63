# SPDX-License-Identifier: Apache-2.0
"""Samples that leave a batch in the torch executor: what they and the others give is what it would be without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from test_executors import FEEDS, fixed, networks

from leaving import leaves_as_it_would_be
from snncc.execute.executors import TorchExecutor
from snncc.ir.network import Network
from snncc.ir.nodes import AdaptiveIF, LeakyIF, MsatIF, MultiThreshold

T = 7
MSAT: dict[str, Any] = {"alpha": 0.5, "k_a": 1.0, "k_i": 1.0, "c": 1.0, "tau_mp": 0.5, "tau_rd": 0.5}


def exact(net: Network) -> TorchExecutor:
    return TorchExecutor(net, device="cpu", steps=3, dtype=torch.float64)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks(dyadic=True))
def test_exact_networks(case: tuple[Network, dict[str, np.ndarray]]) -> None:
    leaves_as_it_would_be(case[0], exact(case[0]), case[1], T)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks(dyadic=False))
def test_networks_of_every_kind_of_node(case: tuple[Network, dict[str, np.ndarray]]) -> None:
    leaves_as_it_would_be(case[0], exact(case[0]), case[1], T, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (AdaptiveIF, {"eta": 0.25}),
        (AdaptiveIF, {"eta": 0.25, "rule": "alg2", "subtract": "graded"}),
        (MultiThreshold, {"sizes": 3}),
        (MsatIF, MSAT),
        (LeakyIF, {"slope": "half", "negative": "early"}),
    ],
)
def test_states_of_other_neurons(kind: Any, fields: dict[str, Any]) -> None:
    net = fixed()
    names = {key: getattr(net["z"], key) for key in ("name", "inputs", "shape", "batch", "threshold", "amplitude")}
    net = net.replaced([kind(**names, v_init="half", **fields)])
    feeds = {"x": np.concatenate([FEEDS["x"], FEEDS["x"][::-1] * 0.75])}
    leaves_as_it_would_be(net, exact(net), feeds, T, rtol=1e-12)
