# SPDX-License-Identifier: Apache-2.0
"""The passes of the post-training methods: local balancing, bias correction, thresholds that change, firing outputs,
encoded inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from small_models import Case, dataset, lowered, normal, parsed
from snncc.backends.torch.module import emit
from snncc.bundles.bundle import network_bytes
from snncc.conversion.verify import relative_power, simulated
from snncc.errors import RecipeError
from snncc.execute.executors import ReferenceExecutor
from snncc.execute.torch.engine import Engine
from snncc.ir.nodes import IF, AdaptiveIF, Encoder, MsatIF
from snncc.ir.text import to_text
from snncc.transform.passes.correct_bias import correct_bias

TWO_LAYERS = """
g (float[N, 2, 6, 6] x) => (float[N, 5] y) {
  c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, w, b) r = Relu(c)
  f = Flatten(r) h = Gemm(f, v, e) s = Relu(h) y = Gemm(s, u, d)
}
"""


def case(timesteps: int = 8, samples: int = 96, graph: str = TWO_LAYERS) -> Case:
    weights = {
        "w": normal(1, 3, 2, 3, 3) / 3,
        "b": normal(2, 3) / 2,
        "v": normal(3, 108, 16) / 10,
        "e": normal(4, 16) / 4,
        "u": normal(5, 16, 5) / 3,
        "d": normal(6, 5),
    }
    return lowered(parsed(graph, **weights), dataset(x=normal(7, samples, 2, 6, 6)), timesteps=timesteps)


def ann(made: Case, name: str) -> np.ndarray:
    return made.context.values.run(made.context.calibration.inputs, [name])[name].astype(np.float64)


@pytest.mark.parametrize(("granularity", "axes"), [("layer", (0, 1, 2, 3)), ("channel", (0, 2, 3)), ("neuron", (0,))])
def test_balance_locally(granularity: str, axes: tuple[int, ...]) -> None:
    made = case()
    made.spiking(kind="if")
    net = made.apply("balance_locally", granularity=granularity, eta=0.2, updates=5)
    a, th = ann(made, "r"), np.zeros(())
    for batch in (a[:64], a[64:], a[:64], a[64:], a[:64]):
        excess = np.where(batch > th, batch - th, 0)
        th = th + 2 * 0.2 * excess.mean(axes, keepdims=True)
    np.testing.assert_allclose(net.arrays["r/threshold"], th, rtol=1e-4)


def test_correct_bias_removes_the_mean_error() -> None:
    """After the correction each channel's mean rate is nearer to the ANN's, layer by layer."""

    def errors(made: Case) -> list[float]:
        found: dict[str, Any] = {}
        net, feeds = made.network, made.context.calibration.inputs
        Engine(net).run(feeds, 4, observe=lambda node, s: found.update({node.name: s.mean(0).numpy()}))
        return [float(np.abs((found[n] - ann(made, n)).mean((0, 2, 3) if n == "r" else 0)).mean()) for n in ("r", "s")]

    made = case(timesteps=4)
    made.spiking(kind="if")
    made.apply("minimize_threshold_error", granularity="channel")
    made.apply("initialize_membrane", fraction=0.5)

    before = errors(made)
    made.apply("correct_bias", rounds=3)
    after = errors(made)
    assert after[0] < before[0] / 2
    assert after[1] < before[1] / 2
    assert [type(n).__name__ for n in made.network.nodes].count("Affine") == 0  # absorbed into the biases
    assert correct_bias.needs == {"thresholds", "membrane"}


def test_the_first_layer_is_corrected_as_the_equation_says() -> None:
    made = case(timesteps=4)
    made.spiking(kind="if")
    made.apply("balance_thresholds", granularity="layer", reduce="max")
    made.apply("initialize_membrane", fraction=0.0)
    current, th = ann(made, "c"), made.network.arrays["r/threshold"].item()
    old = made.network.arrays[made.network["c"].bias]  # type: ignore[attr-defined]
    u, rate = np.zeros_like(current), np.zeros_like(current)
    for _ in range(4):
        u += current
        z = u >= th
        u, rate = u - z * th, rate + z * th / 4
    wanted = (ann(made, "r") - rate).mean((0, 2, 3))
    net = made.apply("correct_bias", samples=96)
    np.testing.assert_allclose(net.arrays[net["c"].bias] - old, wanted, atol=1e-5)  # type: ignore[attr-defined]


def test_reduce_and_percentile_are_the_same_at_one_hundred() -> None:
    found = []
    for options in ({"reduce": "max", "percentile": 50.0}, {"percentile": 100.0}, {"percentile": 50.0}):
        made = case()
        made.spiking(kind="if")
        found.append(made.apply("balance_thresholds", granularity="neuron", **options).arrays["r/threshold"])
    assert np.array_equal(found[0], found[1])
    assert (found[2] < found[1]).any()


def test_burst_thresholds_are_those_of_one_spike() -> None:
    found = []
    for burst in (1, 5):
        made = case()
        net = made.spiking(kind="if", burst=burst)
        assert net["r"].burst == burst  # type: ignore[attr-defined]
        found.append(made.apply("balance_thresholds", reduce="max").arrays["r/threshold"])
    assert found[0] == found[1]


def test_chen_takes_the_percentile_of_what_is_positive() -> None:
    made = case()
    for name in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
        made.apply(name)
    made.apply("select_adaptive_neuron", eta=0.8, subtract="graded")
    net = made.apply("balance_thresholds", granularity="layer", percentile=99.9, nonzero=True)
    a = np.sort(ann(made, "r").ravel())
    positive = a[a > 0]
    wanted = positive[int(np.ceil(0.999 * len(positive))) - 1]
    assert net.arrays["r/threshold"].item() == pytest.approx(wanted, rel=0.01)
    node = net["r"]
    assert isinstance(node, AdaptiveIF)
    assert (node.eta, node.subtract, node.adapt, node.graded) == (0.8, "graded", True, True)
    assert ("information", "y") in made.notes  # the baselines beside it


def msat(made: Case, **options: Any) -> None:
    for name in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
        made.apply(name)
    made.apply("select_multistage_neuron", **options)
    made.apply("balance_thresholds", reduce="max")
    made.apply("initialize_membrane", fraction=0.0)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_spike_confidence_is_the_share_of_neurons_that_should_be_silent(layers: str) -> None:
    made = case(timesteps=12)
    msat(made)
    spiked: dict[str, np.ndarray] = {}
    feeds = {"x": made.context.calibration.inputs["x"][:50]}
    Engine(made.network).run(feeds, 12, observe=lambda n, s: spiked.update({n.name: (s != 0).any(0).numpy()}))
    net = made.apply("measure_spike_confidence", layers=layers, samples=50, steps=7)
    for neuron, potential in (("r", "c"), ("s", "h")):
        wrong = spiked[neuron] & (ann(made, potential)[:50] < 0)
        node = net[neuron]
        assert isinstance(node, MsatIF)
        measured = layers == "all" or neuron == "s"
        assert node.confidence == pytest.approx(1 - wrong.mean() if measured else 1)
        assert wrong.any() or neuron == "r"  # the first layer's current is constant: it never misleads
        assert node.unsure == (7 if measured else 16)
    assert net["r"].key != net["s"].key  # type: ignore[attr-defined]


def test_changing_thresholds_refuse_what_they_cannot_follow() -> None:
    graph = TWO_LAYERS.replace("r = Relu(c)", "r = LeakyRelu <alpha = 0.1> (c)")
    for name in ("select_adaptive_neuron", "select_multistage_neuron"):
        made = case(graph=graph)
        for before in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
            made.apply(before)
        with pytest.raises(RecipeError, match="LeakyRelu"):
            made.apply(name)
    with pytest.raises(RecipeError, match="divide"):
        msat(case(), k_i=0.0)


def test_outputs_that_fire() -> None:
    made = case(timesteps=64)
    made.spiking(kind="if")
    net = made.apply("fire_outputs")
    assert isinstance(net["y"], IF)
    assert net["y"].inputs == ("y.current",)
    made.apply("balance_thresholds", reduce="max")
    net = made.apply("initialize_membrane", fraction=0.5)
    assert net.arrays["y/threshold"].item() == pytest.approx(ann(made, "y").max())
    found = simulated(net, made.context.values, made.context.calibration.inputs, 64)["y"]
    assert found.min() >= 0  # negative logits never leave
    counts = found * 64 / net.arrays["y/threshold"].item()
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    sure = np.sort(ann(made, "y"), 1)
    sure = (sure[:, -1] - sure[:, -2] > 0.5) & (sure[:, -1] > 0.5)
    assert sure.sum() > 10
    assert np.mean(found.argmax(1)[sure] == ann(made, "y").argmax(1)[sure]) > 0.9
    with pytest.raises(RecipeError, match="set already"):
        made.apply("fire_outputs")


def test_outputs_that_cannot_fire() -> None:
    made = case(graph=TWO_LAYERS.replace("y = Gemm(s, u, d)", "z = Gemm(s, u, d) y = Softmax(z)"))
    made.spiking(kind="if")
    with pytest.raises(RecipeError, match="not linear"):
        made.apply("fire_outputs")


@pytest.mark.parametrize("kind", ["poisson", "uniform"])
def test_encoded_inputs(kind: str) -> None:
    made = case(timesteps=16, samples=32)
    made.spiking(kind="if")
    made.apply(f"encode_{kind}")
    made.apply("balance_thresholds", reduce="max")
    net = made.apply("initialize_membrane", fraction=0.5)
    x = made.context.calibration.inputs["x"]
    node = net["x.spikes"]
    assert isinstance(node, Encoder)
    assert net["c"].inputs == ("x.spikes",)
    scale = float(np.abs(x).max())
    assert float(net.arrays[node.scale]) == pytest.approx(scale)
    series: dict[str, np.ndarray] = {}
    steps = 400
    Engine(net).run({"x": x}, steps, observe=lambda n, s: series.update({n.name: s.numpy().copy()}), count=False)
    spikes = series["x.spikes"]
    assert set(np.round(np.unique(spikes) / scale).tolist()) == {-1.0, 0.0, 1.0}
    error = spikes.mean(0) - x
    if kind == "uniform":
        assert np.abs(error).max() <= 0.51 * scale / steps
    else:
        p = np.abs(x) / scale
        deviation = scale * np.sqrt(p * (1 - p) / steps)
        inside = deviation > 0
        assert np.std(error[inside] / deviation[inside]) == pytest.approx(1, abs=0.05)
        assert np.abs(error[inside] / deviation[inside]).max() < 6


def test_encoding_keeps_the_result_in_the_limit() -> None:
    errors = []
    for steps in (16, 256):
        made = case(timesteps=steps, samples=16)
        made.spiking(kind="signed_if", negative="early")
        made.apply("encode_uniform")
        made.apply("balance_thresholds", granularity="neuron", reduce="max")
        net = made.apply("initialize_membrane", fraction=0.5)
        found = simulated(net, made.context.values, made.context.calibration.inputs, steps)
        errors.append(relative_power(found, {"y": ann(made, "y")}))
    assert errors[1] < errors[0] / 20


@pytest.mark.parametrize("name", ["correct_bias", "match_currents"])
def test_corrections_follow_encoders_and_graded_spikes(name: str) -> None:
    """The correction sees what the network emits: graded values are not rounded to whole spikes."""
    made = case(timesteps=8, samples=32)
    for before in ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions"):
        made.apply(before)
    made.apply("select_multistage_neuron")
    made.apply("encode_uniform")
    made.apply("balance_thresholds", reduce="max")
    made.apply("initialize_membrane", fraction=0.5)

    def error() -> float:
        feeds = made.context.calibration.inputs
        return relative_power(simulated(made.network, made.context.values, feeds, 8), {"y": ann(made, "y")})

    before_it = error()
    made.apply(name)
    assert error() < before_it


def test_the_readout_is_an_option() -> None:
    made = case()
    net = made.spiking(kind="if")
    assert made.apply("fire_outputs", readout="membrane") is net


def test_delayed_readout(tmp_path: Path) -> None:
    made = case(timesteps=8, samples=12)
    made.spiking(kind="if")
    made.apply("balance_thresholds", reduce="max")
    net = made.apply("initialize_membrane", fraction=0.5)
    assert made.apply("delay_readout") is net
    feeds = made.context.calibration.inputs
    points = (1, 2, 3, 5, 8)
    plain = Engine(net).run(feeds, 8, checkpoints=points).outputs["y"].double().numpy()
    late = made.apply("delay_readout", steps=3)
    assert "readout_after=3" in to_text(late)
    sums = {t: t * y for t, y in zip(points, plain, strict=True)}
    wanted = np.stack([plain[0], plain[1], plain[2], (sums[5] - sums[3]) / 2, (sums[8] - sums[3]) / 5])
    for pieces in (None, 1, 2, 3, 4):
        found = Engine(late).run(feeds, 8, checkpoints=points, steps_at_once=pieces).outputs["y"]
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)
    outputs = ReferenceExecutor(late).run(feeds, 8, points).outputs["y"]
    np.testing.assert_allclose(outputs, wanted, atol=1e-4)
    module: dict[str, Any] = {"__name__": "model"}
    exec(emit(late, title="late", timesteps=8), module)
    (tmp_path / "weights.safetensors").write_bytes(network_bytes(late)[1])
    emitted = module["SpikingNetwork"](tmp_path / "weights.safetensors")
    for steps, at in ((2, 1), (3, 2), (5, 3), (8, 4)):
        y = emitted(torch.from_numpy(feeds["x"]), timesteps=steps)
        np.testing.assert_allclose(y.numpy(), wanted[at], atol=1e-4)


def test_readout_that_cannot_be_delayed() -> None:
    made = case(graph=TWO_LAYERS.replace("y = Gemm(s, u, d)", "z = Gemm(s, u, d) y = Softmax(z)"))
    made.spiking(kind="if")
    with pytest.raises(RecipeError, match="mean of all steps"):
        made.apply("delay_readout", steps=2)


def test_the_notes_name_the_baselines() -> None:
    made = case()
    msat(made)
    texts = [msgspec.structs.asdict(note)["text"] for note in made.context.notes]
    assert any("rmp" in text and "opi" in text for text in texts)
