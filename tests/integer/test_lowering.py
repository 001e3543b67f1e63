# SPDX-License-Identifier: Apache-2.0
"""The integer lowering: whole numbers throughout, units that agree, results near those in floats, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import NEURONS, WINDOW, Small, images, plain, samples

from small_models import dataset
from snncc.errors import EmitError, UsageError
from snncc.execute.torch.engine import Engine
from snncc.integer import lower
from snncc.integer.executor import run
from snncc.integer.network import IntegerNetwork
from snncc.integer.rounding import InputCovariance
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, AveragePool, Conv, Differential, Input, LeakyIF, Operator, Relu
from snncc.ir.schedule import Schedule


def outputs(net: Network, integer: IntegerNetwork, x: np.ndarray, timesteps: int) -> tuple[np.ndarray, np.ndarray]:
    """The output in floats (float64) and in integers, in real units."""
    floats = Engine(net, dtype=torch.float64).run({"x": x}, timesteps).outputs["y"][0].numpy()
    sums = run(integer, {"x": x}, timesteps)[1]["y"]
    return floats, sums * integer.output_scale["y"] / net.schedule.divisor(timesteps)


@pytest.mark.parametrize("kind", sorted(NEURONS))
def test_whole_numbers_near_the_floats(kind: str) -> None:
    net = images(kind, silent=True)
    data = samples(net, 100)
    integer = lower(net, data)
    assert {a.dtype.name for a in integer.network.arrays.values()} == {"int8", "int32"}
    steps, _ = run(integer, data.inputs, 4)
    assert all(value.dtype == np.int64 for step in steps for value in step.values())
    assert set(np.unique(steps[0]["n1"])) <= set(range(-4, 5))
    floats, found = outputs(net, integer, data.inputs["x"], 8)
    assert (floats.argmax(1) == found.argmax(1)).mean() > 0.95
    assert np.square(found - floats).sum() < 0.25 * np.square(floats - floats.mean(0)).sum()


@pytest.mark.parametrize("schedule", [Schedule(kind="once"), Schedule(kind="window", steps=4)])
def test_input_and_biases_end_with_the_schedule(schedule: Schedule) -> None:
    net = images("early", schedule=schedule)
    data = samples(net, 50)
    integer = lower(net, data)
    floats, found = outputs(net, integer, data.inputs["x"], 24)
    assert (floats.argmax(1) == found.argmax(1)).mean() > 0.85


def test_finer_weights_are_nearer() -> None:
    net = images("early_levels", seed=4)
    data = samples(net, 100)
    errors = []
    for weights in ("int8", "int4", "ternary"):
        floats, found = outputs(net, lower(net, data, weights=weights), data.inputs["x"], 64)
        errors.append(np.square(found - floats).sum())
        largest = max(
            int(np.abs(a).max()) for n, a in lower(net, data, weights=weights).network.arrays.items() if "/w" in n
        )
        assert largest == {"int8": 127, "int4": 7, "ternary": 1}[weights]
    assert errors[0] < errors[1] < errors[2]


def test_branches_of_a_sum_share_a_unit_per_channel() -> None:
    """The currents of the branches, in real units, are those of the floats to within the weights' rounding."""
    net = images("early")
    integer = lower(net, samples(net))
    spikes = np.random.default_rng(0).integers(-1, 2, (1, 4, 3, 3))
    arrays, whole = net.arrays, integer.network.arrays
    unit = arrays["n2/threshold"].ravel() / whole["n2/threshold"].ravel()
    for name, k in (("c2", 1.0), ("d2", 0.5)):
        real = k * (arrays[f"{name}/weight"] * (arrays["n1/amplitude"].reshape(1, 4, 1, 1)))
        scale = whole[f"a2.{0 if name == 'c2' else 1}/scale"].ravel()
        found = whole[f"{name}/weight"] * (scale * unit).reshape(-1, 1, 1, 1)
        assert np.abs(found - real).max() < 0.012 * np.abs(real).max()
    shortcut = whole["a2.2/scale"].ravel()[1:5] * unit[1:5]
    assert shortcut == pytest.approx(arrays["n1/amplitude"].ravel(), rel=0.01)
    assert spikes.dtype.kind == "i"


def test_average_pool_with_several_divisors() -> None:
    """Windows of 1, 2 and 4 real entries: the least common multiple 4 is the unit's divisor."""
    integer = lower(images("early"), samples(images("early")))
    scale = integer.network.arrays["v/scale"][0, 0]
    assert scale.tolist() == [[4, 2, 2, 4], [2, 1, 1, 2], [2, 1, 1, 2], [4, 2, 2, 4]]


def test_divisors_without_a_common_multiple_are_refused() -> None:
    s = Small(0)
    s.add(Input, "x", [], (1, 1, 23))
    s.conv("c", "x", (1, 1, 23), (1, 1, 1), stride=(1,), padding=(0, 0), dilation=(1,))
    s.neuron("n", "c", (1, 1, 23), "if")
    window = {"stride": (1,), "padding": (22, 0), "dilation": (1,), "kernel": (23,)}
    s.add(AveragePool, "y", ["n"], (1, 1, 23), ceil_mode=False, count_include_pad=False, **window)
    net = s.network(["y"], Schedule())
    with pytest.raises(EmitError, match=r"y: .*least common multiple.*count_include_pad"):
        lower(net, samples(net))


def test_softmax_at_the_end_is_left_out_and_said() -> None:
    net = plain("early")
    softmax = Operator(name="z", inputs=("y",), shape=(1, 3), batch=0, op="softmax", attributes={"axis": 1})
    last = Differential(
        **{f: getattr(softmax, f) for f in ("name", "inputs", "shape", "batch")},
        function=softmax,
        low=(None,),
        high=(None,),
        nonzero=(0.0,),
    )
    ended = Network(nodes=(*net.nodes, last), outputs=("z",), arrays=net.arrays, stage="snn")
    integer = lower(ended, samples(net))
    assert integer.network.outputs == ("y",)
    assert len(integer.notes) == 1
    assert integer.notes[0].startswith("z is left out")


def test_threshold_per_neuron_through_a_convolution_is_refused() -> None:
    net = images("early")
    theta = np.linspace(0.2, 0.5, 4 * 36, dtype=np.float32).reshape(1, 4, 6, 6)
    net = net.with_arrays({f"n0/{key}": theta for key in ("threshold", "amplitude")})
    with pytest.raises(EmitError, match=r"c1: .*threshold per neuron.*--granularity channel"):
        lower(net, samples(net))


def test_other_neurons_and_functions_are_refused() -> None:
    net = plain("early")
    leaky = LeakyIF(
        name="n",
        inputs=("c",),
        shape=(1, 4),
        batch=0,
        threshold="n/threshold",
        amplitude="n/amplitude",
        v_init="n/v_init",
        slope="n/v_init",
    )
    with pytest.raises(EmitError, match="n: LeakyIF"):
        lower(net.replaced([leaky]), samples(net))
    relu = Relu(name="n", inputs=("c",), shape=(1, 4), batch=0)
    function = Differential(
        name="n", inputs=("c",), shape=(1, 4), batch=0, function=relu, low=(None,), high=(None,), nonzero=(0.0,)
    )
    with pytest.raises(EmitError, match="n: Relu has no integer form"):
        lower(net.replaced([function]), samples(net))


def test_timesteps_below_one_are_refused() -> None:
    net = plain("early")
    with pytest.raises(UsageError, match="max-timesteps"):
        lower(net, samples(net), max_timesteps=0)


def test_channels_of_the_input_with_their_own_zero_points() -> None:
    """Bytes of an image with a mean and deviation per channel: padding stays 0, and the bias takes the rest."""
    from snncc.data.dataset import Dataset, Preprocessing

    s = Small(7)
    s.add(Input, "x", [], (1, 2, 5, 5))
    s.conv("c", "x", (1, 3, 5, 5), (3, 2, 3, 3), padding=(1, 1, 1, 1))
    s.neuron("n", "c", (1, 3, 5, 5), "early")
    s.conv("y", "n", (1, 2, 1, 1), (2, 3, 5, 5))
    net = s.network(["y"], Schedule())
    raw = np.random.default_rng(0).integers(0, 256, (40, 2, 5, 5), np.uint8)
    preprocessing = Preprocessing(scale=1 / 255, mean=(0.481, 0.33), std=(0.2, 0.31))
    data = Dataset(inputs={"x": raw}, source="test", preprocessing=preprocessing, continuous=frozenset({"x"}))
    integer = lower(net, data)
    x = next(data.batches(40))["x"]
    assert np.array_equal(integer.quantized(x), raw)
    assert isinstance(integer.network["x.centred"], Affine)
    assert integer.network.arrays["x.centred/shift"].ravel().tolist() == [-123, -84]
    floats = Engine(net, dtype=torch.float64).run({"x": x}, 32).outputs["y"][0].numpy()
    found = run(integer, {"x": x}, 32)[1]["y"] * integer.output_scale["y"] / 32
    assert np.abs(found - floats).max() < 0.05 * np.abs(floats).max()


def test_ternary_weights_and_whole_thresholds_stay_as_they_are() -> None:
    """What `round_thresholds` leaves is already whole: the same spikes, step by step."""
    s = Small(1)
    s.add(Input, "x", [], (1, 2, 6, 6))
    s.conv("c", "x", (1, 4, 6, 6), (4, 2, 1, 1))
    s.neuron("n", "c", (1, 4, 6, 6), "early")
    s.add(
        Conv,
        "d",
        ["n"],
        (1, 3, 4, 4),
        weight=s.array("d/weight", 10_000 * s.rng.integers(-1, 2, (3, 4, 3, 3))),
        **WINDOW,
    )
    s.array("n/amplitude", 1.0)
    s.neuron("m", "d", (1, 3, 4, 4), "early")
    s.array("m/threshold", np.array([12345, 23456, 9871.0]).reshape(1, 3, 1, 1))
    s.array("m/v_init", np.array([1234, 11111, -871.0]).reshape(1, 3, 1, 1))
    s.conv("y", "m", (1, 2, 1, 1), (2, 3, 4, 4))
    net = s.network(["y"], Schedule(kind="once"))
    integer = lower(net, samples(net))
    whole = integer.network.arrays
    assert whole["m/threshold"].ravel().tolist() == [12345, 23456, 9871]
    assert whole["m/v_init"].ravel().tolist() == [1234, 11111, -871]
    assert np.array_equal(10_000 * whole["d/weight"].astype(np.int64), net.arrays["d/weight"])
    assert whole["m.current/scale"].ravel().tolist() == [10_000]


def test_inputs_are_floats_and_one() -> None:
    net = plain("early")
    other = Input(name="i", shape=(1, 3), batch=0)
    two = Network(nodes=(other, *net.nodes), outputs=net.outputs, arrays=net.arrays, stage="snn")
    with pytest.raises(EmitError, match="2 inputs"):
        lower(two, dataset(x=np.zeros((2, 2, 3), np.float32), i=np.zeros((2, 3), np.float32)))


def test_biases_take_back_the_mean_error_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """With coarse weights the outputs of fresh samples are nearer on the average."""
    net = images("early_levels", seed=2)
    data, fresh = samples(net, 64), samples(net, 200, seed=9).inputs["x"]
    errors = []
    for lost in (InputCovariance.lost, lambda inputs, difference: np.zeros(len(difference))):
        monkeypatch.setattr(InputCovariance, "lost", lost)
        floats, found = outputs(net, lower(net, data, weights="int4"), fresh, 32)
        errors.append(float(np.square((found - floats).mean(0)).sum()))
    assert errors[0] < 0.5 * errors[1]
