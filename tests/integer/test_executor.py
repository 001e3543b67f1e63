# SPDX-License-Identifier: Apache-2.0
"""One integer network, three ways to run it: every spike of every layer and step is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from small_networks import NEURONS, images, samples

from snncc.backends.torch.integer import emit_integer
from snncc.errors import UsageError
from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.integer import IntegerNetwork, lower
from snncc.integer.executor import IntegerExecutor, as_floats, exact_type, run
from snncc.ir.network import Network
from snncc.ir.nodes import Node
from snncc.ir.schedule import Schedule

SCHEDULES = (Schedule(), Schedule(kind="once"), Schedule(kind="window", steps=3))


def noise(net: Network, count: int, seed: int) -> np.ndarray:
    """Random bytes, and the two ends."""
    shape = (count, *net["x"].shape[1:])
    q = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    q[0], q[1] = 0, 255
    return q


def spikes_in_torch(net: Network, q: np.ndarray, timesteps: int, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """What neurons and maxima emit, (T, N, ...)."""
    found: dict[str, np.ndarray] = {}

    def see(node: Node, series: torch.Tensor) -> None:
        found[node.name] = series.numpy().astype(np.int64)

    Engine(as_floats(net), dtype=dtype).run({"x": q.astype(np.float64)}, timesteps, observe=see, count=False)
    return found


@settings(max_examples=16)
@given(kind=st.sampled_from(sorted(NEURONS)), seed=st.integers(0, 1000), schedule=st.sampled_from(SCHEDULES))
def test_torch_and_numpy_agree_on_every_spike(kind: str, seed: int, schedule: Schedule) -> None:
    net = images(kind, seed=seed, schedule=schedule, silent=True)
    integer = lower(net, samples(net), max_timesteps=9)
    q = noise(net, 6, seed)
    steps = reference.run(integer.network, {"x": q}, 9)
    types = {torch.float64, exact_type(integer.network, 9, "cpu")}
    for dtype in types:
        for name, series in spikes_in_torch(integer.network, q, 9, dtype).items():
            assert np.array_equal(series, np.stack([step[name] for step in steps])), (name, dtype)


def module(integer: IntegerNetwork, folder: Path, timesteps: int) -> torch.nn.Module:
    """The emitted module, imported from its files."""
    save_file(dict(integer.network.arrays), folder / "weights.safetensors")
    space: dict[str, object] = {"__name__": "emitted", "__file__": str(folder / "model.py")}
    exec(compile(emit_integer(integer, title="small", timesteps=timesteps), "model.py", "exec"), space)
    built = space["IntegerNetwork"]
    assert callable(built)
    made = built()
    assert isinstance(made, torch.nn.Module)
    return made


@pytest.mark.parametrize("kind", sorted(NEURONS))
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
def test_emitted_module_agrees_on_every_spike(kind: str, schedule: Schedule, tmp_path: Path) -> None:
    """With the neurons as outputs the module gives their spikes summed up to T: for each T the reference's."""
    net = images(kind, seed=5, schedule=schedule, silent=True)
    whole = lower(net, samples(net), max_timesteps=10)
    outputs = ("n0", "n1", "m", "n2", "n3", "y")
    watched = Network(
        nodes=whole.network.nodes, outputs=outputs, arrays=whole.network.arrays, schedule=schedule, stage="integer"
    )
    integer = IntegerNetwork(
        network=watched, widths=whole.widths, input=whole.input, output_scale=whole.output_scale, max_timesteps=10
    )
    made, q = module(integer, tmp_path, 8), noise(net, 5, 2)
    sums = dict.fromkeys(outputs, np.zeros((), np.int64))
    for t, step in enumerate(reference.run(watched, {"x": q}, 10), start=1):
        sums = {name: total + step[name] for name, total in sums.items()}
        found = made(torch.from_numpy(q), timesteps=t)
        for name in outputs:
            assert found[name].dtype == torch.int64
            assert np.array_equal(found[name].numpy(), sums[name]), (name, t)


def test_emitted_module_refuses_floats_and_long_runs(tmp_path: Path) -> None:
    net = images("early")
    made = module(lower(net, samples(net), max_timesteps=10), tmp_path, 8)
    q = torch.zeros((1, 2, 6, 6), dtype=torch.uint8)
    assert made(q).shape == (1, 5)
    with pytest.raises(ValueError, match="must be uint8"):
        made(q.float())
    with pytest.raises(ValueError, match="at most 10 steps"):
        made(q, timesteps=11)


@pytest.mark.parametrize("pieces", [1, 3, 8])
def test_executor_gives_the_sums_in_real_units(pieces: int) -> None:
    net = images("early_levels", schedule=Schedule(kind="window", steps=5))
    data = samples(net, 20)
    integer = lower(net, data)
    executor = IntegerExecutor(integer, device="cpu", steps=pieces)
    counted = executor.run(data.inputs, 8, (2, 7, 8))
    for t, found in zip((2, 7, 8), counted.outputs["y"], strict=True):
        _, sums = run(integer, data.inputs, t)
        assert np.array_equal(found, sums["y"] * integer.output_scale["y"] / min(t, 5))
    steps, _ = run(integer, data.inputs, 8)
    assert counted.events["n0"].sum() == sum(int((step["n0"] != 0).sum()) for step in steps)


def test_executor_refuses_what_is_not_proved() -> None:
    net = images("early")
    executor = IntegerExecutor(lower(net, samples(net), max_timesteps=4), device="cpu", steps=4)
    with pytest.raises(UsageError, match=r"T=5: .* up to 4"):
        executor.run(samples(net).inputs, 5, (5,))


def test_floats_are_wide_enough() -> None:
    """float32 only where no number reaches 2^24, and not on a graphics card."""
    net = images("early")
    network = lower(net, samples(net)).network
    assert exact_type(network, 4, "cpu") is torch.float32
    assert exact_type(network, 4, "cuda") is torch.float64
    assert exact_type(network, 256, "cpu") is torch.float64
