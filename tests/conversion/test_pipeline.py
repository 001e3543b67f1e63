# SPDX-License-Identifier: Apache-2.0
"""The runner of recipes: records, notes, measured errors, and passes that break their promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from small_models import dataset, lowered, normal, parsed, ran
from snncc import api
from snncc.conversion import pipeline
from snncc.conversion.recipe import BY_NAME, Step, load_method, steps, with_options
from snncc.conversion.verify import ROUNDING, ann_deviation
from snncc.errors import FidelityError, InvariantBroken
from snncc.execute.torch.engine import Engine
from snncc.ir.network import Network
from snncc.ir.nodes import Clip, Conv, Neuron, Node, Relu, Reshape
from snncc.transform.base import Context, Fidelity, Transform, transform

TEXT = """g (float[N,3,8,8] x) => (float[] y) {
    c1 = Conv<pads=[1,1,1,1]>(x, w1)  n1 = BatchNormalization(c1, g, b, m, v)  r1 = Relu(n1)
    p1 = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r1)
    c2 = Conv<pads=[1,1,1,1]>(p1, w2)  s2 = Add(c2, p1)  r2 = Clip(s2, low, high)
    a2 = GlobalAveragePool(r2)  f = Flatten(a2)  z = Gemm(f, w3)  y = Softmax(z)
}"""
WEIGHTS = {
    "w1": normal(1, 6, 3, 3, 3) / 3,
    "g": normal(2, 6),
    "b": normal(3, 6) / 4,
    "m": normal(4, 6) / 4,
    "v": np.abs(normal(5, 6)) + 0.5,
    "w2": normal(6, 6, 6, 3, 3) / 5,
    "low": np.float32(-0.25),
    "high": np.float32(2.0),
    "w3": normal(7, 6, 4),
}
DATA = dataset(x=normal(0, 24, 3, 8, 8))


def run(extra: Transform | None = None, at: int = 0, **options: Any) -> pipeline.Outcome:
    """The method dnisnm, with one more pass put in at a position."""
    case = lowered(parsed(TEXT, **WEIGHTS), DATA)
    recipe = list(steps(load_method("dnisnm")))
    if extra is not None:
        recipe.insert(at, Step(extra, extra.options()))
    options = {"timesteps": 32, "seed": 0, **options}
    return ran(case.network, recipe, truth=case.truth, calibration=DATA, **options)


def test_records() -> None:
    seen: list[tuple[int, str, int]] = []
    told: list[str] = []
    outcome = run(
        observe=lambda i, name, net, record: seen.append((i, name, len(net.nodes))),
        progress=lambda text, done, total: told.append(text),
    )
    names = [p.use for p in load_method("dnisnm").passes]
    assert [r.name for r in outcome.records] == names
    assert seen == [(i, r.name, r.nodes) for i, r in enumerate(outcome.records)]
    assert [text for text in told if text.startswith("pass ")] == [f"pass {name}" for name in names]
    assert "calibrating" in told
    assert list(outcome.seconds) == [f"{i} {name}" for i, name in enumerate(names)]
    by_name = {r.name: r for r in outcome.records}
    assert by_name["balance_thresholds"].options["granularity"] == "neuron"
    assert by_name["balance_thresholds"].options["nonzero"] is False, "defaults are recorded too"
    assert by_name["fold_batchnorm"].changed == ("n1",)
    assert by_name["shift_clips"].changed == ("r2.shifted", "r2.clipped", "r2")
    assert by_name["rewrite_max_pooling"].changed == ("p1",)
    assert set(by_name["select_neuron"].changed) == {"r1", "r2.clipped"}
    assert [(n.kind, n.node) for n in by_name["rewrite_functions"].notes] == [("analog", "y")]
    assert by_name["fold_batchnorm"].notes == ()
    for record in outcome.records:
        text = msgspec.json.encode(record)
        assert msgspec.json.encode(msgspec.json.decode(text, type=pipeline.Record)) == text
        spiking = names.index(record.name) >= names.index("select_neuron")
        assert record.stage == ("snn" if spiking else "ann")
        assert record.fidelity == BY_NAME[record.name].fidelity
        assert record.bound is None
        assert record.error is not None
        if not spiking:
            assert record.error < ROUNDING
    assert outcome.network.stage == "snn"
    assert by_name["initialize_membrane"].error < 0.01
    assert by_name["select_neuron"].error > by_name["initialize_membrane"].error
    assert sum(isinstance(n, Neuron) for n in outcome.network.nodes) == 2


def test_the_same_run_gives_the_same_network() -> None:
    first, second = run(), run(batch_size=5)
    assert first.network == second.network
    assert first.records == second.records


def other_weights(net: Network, factor: float) -> Network:
    conv = next(n for n in net.nodes if isinstance(n, Conv) and "c2" in n.name)
    return net.with_arrays({conv.weight: net.arrays[conv.weight] * np.float32(factor)})


@transform(fidelity=Fidelity.EXACT)
def wrong_weights(net: Network, ctx: Context) -> Network:
    """Claims to be exact."""
    return other_weights(net, 1.1)


@transform(fidelity=Fidelity.EXACT)
def rounds(net: Network, ctx: Context) -> Network:
    """Moves weights by one unit in the last place: what an exact pass may do."""
    return other_weights(net, 1 + 2.0**-23)


@transform(fidelity=Fidelity.BOUNDED)
def bounded(net: Network, ctx: Context) -> Network:
    """Keeps the bound that it promises."""
    ctx.bound = 0.5
    ctx.note("approximation", "c2", "weights are larger by a hundredth")
    return other_weights(net, 1.01)


@transform(fidelity=Fidelity.BOUNDED)
def unbounded(net: Network, ctx: Context) -> Network:
    """Does not."""
    ctx.bound = 0.001
    return other_weights(net, 1.1)


@transform(fidelity=Fidelity.EMPIRICAL)
def measured(net: Network, ctx: Context) -> Network:
    """Promises nothing."""
    return other_weights(net, 1.1)


@pytest.mark.parametrize(("bad", "promise"), [(wrong_weights, "exact"), (unbounded, "bounded")])
@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_pass_that_breaks_its_promise_is_named_with_the_first_node(bad: Transform, promise: str, at: int) -> None:
    with pytest.raises(FidelityError, match=f"pass {bad.name} promised {promise} but c2 is off by 0\\.1 of") as caught:
        run(bad, at)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("good", [rounds, bounded, measured])
def test_a_pass_that_keeps_its_promise_goes_through(good: Transform) -> None:
    record = run(good, 1).records[1]
    assert record.name == good.name
    assert record.error is not None
    assert record.bound == (0.5 if good is bounded else None)
    if good is not rounds:
        assert record.error > 1e-3
        assert record.worst == "c2"
        later = run(good, 1).records[2:4]
        assert all(r.fidelity == "exact" and r.error > 1e-3 for r in later), "the error against the truth stays"
    assert [n.kind for n in record.notes] == (["approximation"] if good is bounded else [])


def test_a_wrong_pass_is_found_behind_an_approximation_too() -> None:
    """Once the network has left the truth, an exact pass must keep what it was given."""
    case = lowered(parsed(TEXT, **WEIGHTS), DATA)
    chosen = [Step(t, t.options()) for t in (measured, rounds, wrong_weights)]
    with pytest.raises(FidelityError, match=r"pass wrong_weights promised exact but c2 is off by 0\.1 of"):
        ran(case.network, chosen, truth=case.truth, calibration=DATA, timesteps=4, seed=0)


def test_average_pooling_on_request_is_recorded_as_no_longer_exact() -> None:
    case = lowered(parsed(TEXT, **WEIGHTS), DATA)
    recipe = with_options(load_method("dnisnm"), [("rewrite_max_pooling", "to", "average")])
    outcome = ran(case.network, steps(recipe), truth=case.truth, calibration=DATA, timesteps=32, seed=0)
    record = next(r for r in outcome.records if r.name == "rewrite_max_pooling")
    assert record.fidelity == "empirical"
    assert record.error > 0.01
    assert [(n.kind, n.node) for n in record.notes] == [("approximation", "p1")]


def renamed(net: Network, ctx: Context) -> Network:
    return net.rewrite(lambda n: msgspec.structs.replace(n, inputs=("nowhere",)) if n.name == "c2" else n)


def clashing(net: Network, ctx: Context) -> Network:
    return replace(net, nodes=(*net.nodes, net["c2"]))


def unlawful(net: Network, ctx: Context) -> Network:
    return replace(net, stage="snn")


def misshapen(net: Network, ctx: Context) -> Network:
    return net.replaced([msgspec.structs.replace(net["c2"], shape=(1, 6, 4, 5))])


def wasteful(net: Network, ctx: Context) -> Network:
    return net.with_arrays({"left over": np.zeros(3)})


def without_output(net: Network, ctx: Context) -> Network:
    return replace(net, outputs=("gone",))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (renamed, "c2 reads nowhere"),
        (clashing, "two nodes compute c2"),
        (unlawful, "may not stand in the snn stage"),
        (misshapen, r"c2 \(Conv\) has shape \[2, 6, 4, 4\], declared \[2, 6, 4, 5\]"),
        (wasteful, "arrays are kept that nothing reads"),
        (without_output, "the output gone is not computed"),
    ],
)
def test_an_unsound_network_is_a_bug_of_the_pass_that_left_it(function: Any, message: str) -> None:
    bad = transform(fidelity=Fidelity.EMPIRICAL)(function)
    with pytest.raises(InvariantBroken, match=f"after pass {function.__name__}: .*{message}") as caught:
        run(bad, 1)
    assert caught.value.exit_code == 70


def test_a_wrong_lowering_stops_before_any_pass() -> None:
    case = lowered(parsed(TEXT, **WEIGHTS), DATA)
    wrong = case.network.rewrite(
        lambda n: Relu(name="r2", inputs=n.inputs, shape=n.shape, batch=n.batch) if isinstance(n, Clip) else n
    )
    with pytest.raises(FidelityError, match="pass lowering promised exact but r2"):
        ran(wrong, (), truth=case.truth, calibration=DATA, timesteps=4, seed=0)


def test_a_wrong_shape_against_the_truth_is_no_small_error() -> None:
    case = lowered(parsed("g (float[N,4] x) => (float[] y) { y = Relu(x) }"), dataset(x=normal(0, 4, 4)))
    wrong = replace(
        case.network,
        nodes=(case.network["x"], msgspec.structs.replace(case.network["y"], name="h"), flat(case.network["y"])),
    )
    with pytest.raises(FidelityError, match="pass lowering promised exact but y is off by inf"):
        ran(wrong, (), truth=case.truth, calibration=dataset(x=normal(0, 4, 4)), timesteps=4, seed=0)


def flat(y: Node) -> Reshape:
    return Reshape(name=y.name, inputs=("h",), shape=(1, 2, 2), batch=0)


def test_one_sample_at_a_time() -> None:
    """A graph that mixes samples: calibrated, measured and simulated sample by sample."""
    text = (
        "g (float[4,3] x) => (float[] y) { a = MatMul(x, w) r = Relu(a) m = ReduceMean<axes=[0]>(r) y = MatMul(m, u) }"
    )
    data = dataset(x=normal(0, 12, 4, 3))
    case = lowered(parsed(text, w=normal(1, 3, 5), u=normal(2, 5, 2)), data)
    assert case.network.inputs[0].batch is None
    for granularity, shape in (("layer", (1, 1)), ("channel", (1, 5)), ("neuron", (4, 5))):
        recipe = steps(load_method("dnisnm"))
        chosen = [
            Step(s.transform, msgspec.structs.replace(s.options, granularity=granularity))
            if s.transform.name == "balance_thresholds"
            else s
            for s in recipe
        ]
        outcome = ran(case.network, chosen, truth=case.truth, calibration=data, timesteps=64, seed=0)
        assert outcome.network.arrays["r/threshold"].shape == shape
        assert outcome.records[-1].error < 1e-3


def test_behind_an_approximation_statistics_are_of_the_approximated_network() -> None:
    model = parsed(
        "g (float[N,1,4,4] x) => (float[N,1,2,2] y) { p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) y = Relu(p) }"
    )
    x = np.abs(normal(3, 16, 1, 4, 4))
    case = lowered(model, dataset(x=x))
    steps = [(name, {}) for name in ("rewrite_functions", "select_neuron", "balance_thresholds")]
    ready = [
        Step(BY_NAME[name], BY_NAME[name].decode("test", options))
        for name, options in [("rewrite_max_pooling", {"to": "average"}), *steps]
    ]
    outcome = ran(case.network, ready, truth=case.truth, calibration=case.context.calibration, timesteps=4, seed=0)
    neuron = outcome.network["y"]
    means = x.reshape(16, 1, 2, 2, 2, 2).mean((3, 5))
    level = float(outcome.network.arrays[neuron.threshold].max())
    assert level == pytest.approx(float(np.quantile(means, 0.999, method="inverted_cdf")), rel=0.011)


def test_rounding_near_zero_of_a_function_with_range_one_is_no_broken_promise() -> None:
    """onnxruntime's Sigmoid is exact to rounding of 1: far below that its relative error is large."""
    case = lowered(
        parsed("g (float[N,4] x) => (float[] y) { h = Add(x, b) y = Sigmoid(h) }", b=-60.0), dataset(x=normal(0, 8, 4))
    )
    outcome = ran(
        case.network,
        steps(load_method("dnisnm")),
        truth=case.truth,
        calibration=case.context.calibration,
        timesteps=4,
        seed=0,
    )
    assert outcome.records[0].error < ROUNDING


def test_rounding_does_not_add_up_over_the_depth() -> None:
    """Over 300 layers float32 is off by more than one layer may be; each layer alone is not."""
    depth, width = 300, 256
    layers = " ".join(f"m{i} = MatMul(r{i}, w{i}) r{i + 1} = Relu(m{i})" for i in range(depth))
    weights = {f"w{i}": normal(i, width, width) * np.float32(np.sqrt(2 / width)) for i in range(depth)}
    model = parsed(f"g (float[N,{width}] r0) => (float[] r{depth}) {{ {layers} }}", **weights)
    data = dataset(r0=normal(1000, 8, width))
    case = lowered(model, data)
    found = case.truth.run(data.inputs, [f"r{depth}"])[f"r{depth}"]
    whole = Engine(case.network).evaluate(data.inputs)[f"r{depth}"].numpy()
    assert np.abs(whole - found).max() > ROUNDING * np.abs(found).max()
    assert ann_deviation(case.network, case.context.values, data.inputs).error < ROUNDING / 4


@pytest.mark.parametrize(("kind", "lines"), [("double", 1), ("float16", 1), ("float", 0)])
def test_another_precision_has_its_line(kind: str, lines: int) -> None:
    width = {"double": np.float64, "float16": np.float16, "float": np.float32}[kind]
    model = parsed(f"g ({kind}[N, 4] x) => ({kind}[N, 3] y) {{ h = Gemm(x, w) y = Relu(h) }}")
    model.graph.initializer.append(onnx.numpy_helper.from_array(normal(1, 4, 3).astype(width), "w"))
    made = api.convert(model, method="rate", calib=dataset(x=normal(2, 32, 4).astype(width)), write=False)
    notes = [n for r in made.manifest.records for n in r.notes if "the network in float32" in n.text]
    assert len(notes) == lines
