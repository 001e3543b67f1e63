# SPDX-License-Identifier: Apache-2.0
"""Random graphs: the error falls as 1/T for continuous functions; discontinuous ones are named and agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from small_models import dataset, lowered, normal, parsed, ran
from snncc.conversion.recipe import load_method, steps, with_options
from snncc.execute import reference
from snncc.execute.torch.engine import Engine

STEPS = (64, 512)
SAMPLES, TOKENS, FEATURES = 8, 4, 6
#: Operators on (N, 4, 6): text in terms of the result r, operands a and b, and a name t for what lies between.
UNARY = (
    "{r} = Relu({a})",
    "{r} = LeakyRelu<alpha=0.3>({a})",
    "{t} = Clip({a}, low, high)  {r} = Neg({t})",
    "{r} = Sigmoid({a})",
    "{r} = Tanh({a})",
    "{r} = Softmax<axis=-1>({a})",
    "{r} = LayerNormalization<axis=-1>({a}, gain)",
    "{r} = Elu({a})",
    "{r} = HardSwish({a})",
    "{r} = Sin({a})",
    "{t} = Exp({a})  {r} = Reciprocal({t})",
    "{r} = MaxPool<kernel_shape=[3], strides=[1], pads=[1,1]>({a})",
    "{t} = Transpose<perm=[0,2,1]>({a})  {t}m = MatMul(mix, {t})  {r} = Transpose<perm=[0,2,1]>({t}m)",
    "{t} = ReduceMax<axes=[2], keepdims=1>({a})  {r} = Sub({a}, {t})",
)
BINARY = (
    "{r} = Add({a}, {b})",
    "{r} = Mul({a}, {b})",
    "{r} = Max({a}, {b})",
    "{t} = Sigmoid({b})  {t}p = Add({t}, one)  {r} = Div({a}, {t}p)",
    "{t} = Transpose<perm=[0,2,1]>({b})  {t}s = MatMul({a}, {t})  {t}w = Softmax({t}s)  {r} = MatMul({t}w, {b})",
    "{t} = Concat<axis=1>({a}, {b})  {r} = Slice({t}, begin, end, axis)",
)
CHOICES = st.lists(st.tuples(st.integers(0, len(UNARY) + len(BINARY) - 1), st.integers(0, 99)), min_size=2, max_size=6)


def graph(choices: list[tuple[int, int]]) -> str:
    """x, then for each choice a projection of some earlier value and an operator, and a projection at the end."""
    lines, values = [], ["x"]
    for i, (op, pick) in enumerate(choices):
        a, b = values[pick % len(values)], values[pick // 7 % len(values)]
        lines.append(f"p{i} = MatMul({a}, w{i})")
        text = UNARY[op] if op < len(UNARY) else BINARY[op - len(UNARY)]
        lines.append(text.format(r=f"v{i}", a=f"p{i}", b=b, t=f"t{i}"))
        values.append(f"v{i}")
    body = "\n    ".join([*lines, f"y = MatMul({values[-1]}, w{len(choices)})"])
    return f"g (float[N,{TOKENS},{FEATURES}] x) => (float[N,{TOKENS},{FEATURES}] y) {{\n    {body}\n}}"


def weights(count: int, seed: int) -> dict[str, np.ndarray]:
    """Projections that keep the size of values, and the constants of the operators."""
    own = {f"w{i}": normal(1000 * seed + i, FEATURES, FEATURES) / FEATURES**0.5 for i in range(count + 1)}
    fixed = {"low": np.float32(-0.7), "high": np.float32(0.9), "one": np.float32(1), "gain": np.ones(FEATURES)}
    fixed |= {"mix": normal(7, FEATURES, FEATURES) / 2, "begin": np.array([2]), "end": np.array([6])}
    return {**own, **fixed, "axis": np.array([1])}


def errors(text: str, arrays: dict[str, np.ndarray], method: str) -> np.ndarray:
    """Root mean square error at STEPS in float64, thresholds at the true maximum over the inputs under test."""
    x = normal(5, SAMPLES, TOKENS, FEATURES)
    used = {name: a for name, a in arrays.items() if any(f"{name}{c}" in text for c in "),")}
    case = lowered(parsed(text, **used), dataset(x=x))
    recipe = with_options(load_method(method), [("balance_thresholds", "reduce", "max")])
    outcome = ran(case.network, steps(recipe), truth=case.truth, calibration=dataset(x=x), timesteps=8, seed=0)
    wanted = reference.evaluate(case.network, {"x": x})["y"]
    run = Engine(outcome.network, dtype=torch.float64).run({"x": x}, STEPS[-1], checkpoints=STEPS, count=False)
    return np.sqrt(((run.outputs["y"].numpy() - wanted) ** 2).mean(axis=(1, 2, 3))) / np.abs(wanted).max()


@pytest.mark.parametrize("method", ["dnisnm", "transformer"])
def test_the_error_falls_over_random_graphs(method: str) -> None:
    """Every graph's error falls clearly, and the geometric mean over the family by about 8 (at least 5)."""
    torch.set_num_threads(1)
    found: list[np.ndarray] = []

    @settings(max_examples=24 if method == "transformer" else 48)
    @given(CHOICES, st.integers(0, 1000))
    def converges(choices: list[tuple[int, int]], seed: int) -> None:
        early, late = errors(graph(choices), weights(len(choices), seed), method)
        if early > 1e-5:  # else nothing before the output spikes, or it is at rounding already
            found.append(np.array([early, late]))
            assert late < early / 2
        assert late < 0.02

    converges()
    assert len(found) >= 10
    mean = np.exp(np.log(np.stack(found)).mean(0))
    assert mean[1] < mean[0] / 5, mean


DISCONTINUOUS = {
    "sign": ("s = Sign(h)  y = MatMul(s, w2)", "sign"),
    "round": ("s = Round(h)  y = MatMul(s, w2)", "round_half_even"),
    "arg_max": ("y = ArgMax<axis=2, keepdims=0>(h)", "arg_max"),
    "top_k": ("d, y = TopK<axis=2>(h, two)", "top_indices"),
    "greater": ("c = Greater(h, zero)  y = Where(c, h, zero)", "greater"),
}


@pytest.mark.parametrize("kind", DISCONTINUOUS)
def test_discontinuous_functions_are_named_and_agree(kind: str) -> None:
    """The share of equal outputs grows with T and ends near 1; a note says how to judge the node."""
    tail, op = DISCONTINUOUS[kind]
    text = f"g (float[N,4,6] x) => (y) {{ p = MatMul(x, w0)  r = Relu(p)  h = MatMul(r, w1)  {tail} }}"
    text = text.replace("(y)", "(int64[] y)" if kind in ("arg_max", "top_k") else "(float[] y)")
    arrays = {"w0": normal(1, 6, 6) / 2, "w1": normal(2, 6, 6) / 2, "w2": normal(3, 6, 6), "two": np.array([2])}
    arrays["zero"] = np.float32(0)
    x = normal(5, 32, 4, 6)
    used = {name: a for name, a in arrays.items() if f"{name})" in text or f"{name}," in text}
    case = lowered(parsed(text, **used), dataset(x=x))
    recipe = with_options(load_method("dnisnm"), [("balance_thresholds", "reduce", "max")])
    outcome = ran(case.network, steps(recipe), truth=case.truth, calibration=dataset(x=x), timesteps=8, seed=0)
    notes = [note.text for record in outcome.records for note in record.notes]
    assert any(note.startswith(f"{op} is discontinuous") for note in notes)
    wanted = reference.evaluate(case.network, {"x": x})["y"]
    run = Engine(outcome.network, dtype=torch.float64).run({"x": x}, 512, checkpoints=(4, 512), count=False)
    early, late = (np.isclose(y, wanted, atol=0.05).mean() for y in run.outputs["y"].numpy())
    assert late > max(0.97, early - 0.005)
