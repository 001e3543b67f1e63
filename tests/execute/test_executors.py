# SPDX-License-Identifier: Apache-2.0
"""The torch executor against the reference, on random networks: every neuron, every step, every schedule.

A network is *dyadic* (all numbers are small multiples of 1/8 and every operation is exact, so that potentials meet
their thresholds exactly) or generic (real numbers, every kind of node, ties improbable).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snncc.conversion.shapes import check_shapes
from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.execute.torch.layout import Run
from snncc.ir.check import check
from snncc.ir.network import Network
from snncc.ir.nodes import (
    IF,
    Affine,
    AveragePool,
    CentredIF,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Differential,
    Expand,
    Input,
    LeakyIF,
    Linear,
    MaxPool,
    Neuron,
    Node,
    Operator,
    Pad,
    Reduce,
    Repeat,
    Reshape,
    SignedIF,
    Slice,
    Sum,
    Transpose,
)
from snncc.ir.schedule import Schedule

T, SAMPLES, VOCABULARY = 7, 3, 4
SCHEDULES = [
    Schedule(),
    Schedule(kind="window", steps=1),
    Schedule(kind="window", steps=4),
    Schedule(kind="window", steps=50),
    Schedule(kind="once"),
]


class Maker:
    """Grows a network; hypothesis draws its structure, a seed its numbers."""

    def __init__(self, draw: Any, *, dyadic: bool, batched: bool) -> None:
        self.draw, self.dyadic = draw, dyadic
        self.batch: int | None = 0 if batched else None
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        self.nodes: list[Node] = []
        self.arrays: dict[str, np.ndarray] = {}

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def numbers(self, *shape: int) -> np.ndarray:
        if self.dyadic:
            return self.rng.integers(-6, 7, shape) / 8
        return self.rng.standard_normal(shape)

    def array(self, values: Any) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays[name] = np.asarray(values)
        return name

    def add(self, kind: type, inputs: list[Node], shape: Any, *, batch: Any = "keep", **fields: Any) -> Any:
        at = (inputs[0].batch if inputs else None) if batch == "keep" else batch
        names = tuple(x.name for x in inputs)
        self.nodes.append(kind(name=f"v{len(self.nodes)}", inputs=names, shape=tuple(shape), batch=at, **fields))
        return self.nodes[-1]

    def constant(self, *shape: int) -> Node:
        return self.add(Constant, [], shape, value=self.array(self.numbers(*shape)))

    # One method per rule of the grammar; each takes a value (1, channels, *space) and returns another.

    def convolution(self, x: Node) -> Node:
        space, channels = x.shape[2:], x.shape[1]
        if not space:
            return self.linear(x)
        n, out = len(space), self.pick(2, 4)
        groups = self.pick(1, 2) if channels % 2 == 0 else 1
        kernel = [min(self.pick(1, 2, 3), s) for s in space]
        dilation = [2 if s >= 5 and self.pick(False, True) else 1 for s in space]
        stride, padding = [self.pick(1, 2) for _ in space], [self.pick(0, 1, 2) for _ in range(2 * n)]
        size = [
            (s + padding[i] + padding[n + i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
            for i, s in enumerate(space)
        ]
        if min(size) < 1:
            return self.linear(x)
        return self.add(
            Conv,
            [x],
            (1, out, *size),
            weight=self.array(self.numbers(out, channels // groups, *kernel)),
            bias=self.array(self.numbers(out)) if self.pick(True, False) else None,
            stride=tuple(stride),
            padding=tuple(padding),
            dilation=tuple(dilation),
            groups=groups,
        )

    def transposed(self, x: Node) -> Node:
        space, channels = x.shape[2:], x.shape[1]
        if not space or max(space) > 5:
            return self.linear(x)
        n, groups = len(space), self.pick(1, 2) if channels % 2 == 0 else 1
        stride, padding = [self.pick(1, 2) for _ in space], [self.pick(0, 1) for _ in range(2 * n)]
        dilation, extra = self.pick(1, 2), [self.pick(0, s - 1) for s in stride]
        size = [
            (s - 1) * stride[i] + dilation + 1 + extra[i] - padding[i] - padding[n + i] for i, s in enumerate(space)
        ]
        if min(size) < 1:
            return self.linear(x)
        return self.add(
            ConvTranspose,
            [x],
            (1, 2 * groups, *size),
            weight=self.array(self.numbers(channels, 2, *[2] * n)),
            bias=self.array(self.numbers(2 * groups)) if self.pick(True, False) else None,
            stride=tuple(stride),
            padding=tuple(padding),
            dilation=(dilation,) * n,
            groups=groups,
            output_padding=tuple(extra),
        )

    def linear(self, x: Node) -> Node:
        axis = self.draw(st.integers(1, len(x.shape) - 1))
        shape = list(x.shape)
        shape[axis] = self.pick(2, 4)
        weight = self.array(self.numbers(shape[axis], x.shape[axis]))
        bias = self.array(self.numbers(shape[axis])) if self.pick(True, False) else None
        return self.add(Linear, [x], shape, weight=weight, bias=bias, axis=axis)

    def affine(self, x: Node) -> Node:
        shape = tuple(s if i and self.pick(True, False) else 1 for i, s in enumerate(x.shape))
        scale, shift = self.pick((True, True), (True, False), (False, True))
        return self.add(
            Affine,
            [x],
            x.shape,
            scale=self.array(self.numbers(*shape)) if scale else None,
            shift=self.array(self.numbers(*shape)) if shift else None,
        )

    def sum(self, x: Node) -> Node:
        """With another branch, a constant or a static value of each sample."""
        same = [v for v in self.nodes if v.shape == x.shape and v.batch == x.batch]
        other = self.pick(self.pick(*same), self.constant(*x.shape[1:]), self.static(x))
        coefficients = self.pick((1.0, 1.0), (1.0, -1.0), (0.5, 2.0))
        terms = [x, other] if self.pick(True, False) or other.batch is None else [other, x]
        return self.add(Sum, terms, x.shape, coefficients=coefficients, batch=x.batch)

    def static(self, x: Node) -> Node:
        """A row of a table, chosen by the static input `ids`."""
        table = self.constant(VOCABULARY, *x.shape[1:])
        return self.add(
            Operator, [table, self.nodes[1]], x.shape, batch=self.batch, op="gather", attributes={"axis": 0}
        )

    def concatenated(self, x: Node) -> Node:
        other = self.constant(1, 2, *x.shape[2:])
        if self.batch is not None:
            other = self.add(Repeat, [other], other.shape, batch=0)
        parts = self.pick([x, other], [other, x], [x, x])
        channels = sum(p.shape[1] for p in parts)
        return self.add(Concat, parts, (1, channels, *x.shape[2:]), batch=x.batch, axis=1)

    def pool(self, x: Node) -> Node:
        space = x.shape[2:]
        kind: Literal["average", "max"] = self.pick("average", "max")
        if not space or min(space) < 2 or (kind == "average" and self.dyadic):
            return x
        n, dilation = len(space), self.pick(1, 2) if min(space) >= 3 else 1
        stride, ceil = self.pick(1, 2), self.pick(True, False)
        padding = [self.pick(0, 1) for _ in range(2 * n)] if dilation == 1 else [0] * (2 * n)
        size = []
        for i, s in enumerate(space):
            free = s + padding[i] + padding[n + i] - dilation - 1
            count = -(-free // stride) if ceil else free // stride
            size.append(count + 1 - (ceil and count * stride >= s + padding[i]))
        fields: dict[str, Any] = {
            "kernel": (2,) * n,
            "stride": (stride,) * n,
            "padding": tuple(padding),
            "dilation": (dilation,) * n,
            "ceil_mode": ceil,
        }
        shape = (1, x.shape[1], *size)
        if kind == "average":
            return self.add(AveragePool, [x], shape, count_include_pad=self.pick(True, False), **fields)
        function = MaxPool(name="f", inputs=(x.name,), shape=shape, batch=x.batch, **fields)
        return self.add(Differential, [x], shape, function=function, low=(None,), high=(None,), nonzero=(0.0,))

    def neuron(self, x: Node) -> Node:
        shape = self.pick((), (1, *x.shape[1:2], *[1] * (len(x.shape) - 2)), (1, *x.shape[1:]))
        if x.batch not in (0, None):
            shape = ()
        if self.dyadic:
            th = self.rng.choice([0.5, 1.0, 1.0, 2.0], shape) * (self.rng.random(shape) < 0.9)
            v, amplitude = th * self.pick(0, 0.5), th * self.pick(1, 2)
        else:
            th = (0.3 + self.rng.random(shape)) * (self.rng.random(shape) < 0.9)
            v, amplitude = th * self.rng.uniform(0.1, 0.6), th * 1.1
        names = {"threshold": self.array(th), "amplitude": self.array(amplitude), "v_init": self.array(v)}
        levels = self.pick(1, 1, 2, 4)
        negative = self.pick("signed", "early") if levels == 1 else "early"
        kind = self.pick(IF, SignedIF, CentredIF, LeakyIF)
        if kind is IF:
            return self.add(IF, [x], x.shape, reset=self.pick("subtract", "zero"), **names)
        if kind is SignedIF:
            cap = self.pick(None, 2)
            rule = self.pick(negative, "at_zero") if levels == 1 else negative
            return self.add(SignedIF, [x], x.shape, negative=rule, levels=levels, cap=cap, **names)
        if kind is CentredIF:
            centre = self.array(self.rng.integers(0, 5, shape).astype(float))
            return self.add(CentredIF, [x], x.shape, centre=centre, until=self.pick(2, 4, 64), levels=levels, **names)
        slope = self.array(self.numbers(*shape))
        return self.add(LeakyIF, [x], x.shape, negative=negative, levels=levels, slope=slope, **names)

    def differential(self, op: str, inputs: list[Node], *, nonzero: float = 0.0, **attributes: Any) -> Node:
        first, n = inputs[0], len(inputs)
        names = tuple(v.name for v in inputs)
        f = Operator(name="f", inputs=names, shape=first.shape, batch=first.batch, op=op, attributes=attributes)
        low, high = self.pick((None, None), (-0.4, 1.3))
        least = (*[0.0] * (n - 1), nonzero)
        return self.add(Differential, inputs, first.shape, function=f, low=(low,) * n, high=(high,) * n, nonzero=least)

    def function(self, x: Node) -> Node:
        if self.dyadic:
            f = Operator(name="f", inputs=(x.name,), shape=x.shape, batch=x.batch, op="absolute")
            return self.add(Differential, [x], x.shape, function=f, low=(None,), high=(None,), nonzero=(0.0,))
        others = [v for v in self.nodes if v.shape == x.shape and v.batch == x.batch]
        other = self.pick(self.pick(*others), self.static(x), self.constant(*x.shape[1:]))
        match self.pick("softmax", "sigmoid", "multiply", "divide", "maximum", "scaled"):
            case "softmax":
                return self.differential("softmax", [x], axes=(len(x.shape) - 1,))
            case "sigmoid":
                return self.differential("sigmoid", [x])
            case "divide":
                return self.differential("divide", [x, other], nonzero=0.25)
            case "scaled" if other.name not in self.varying():
                return self.add(Operator, [x, other], x.shape, op="multiply")
            case "maximum":
                return self.differential("maximum", [x, other])
            case _:
                return self.differential("multiply", [x, other])

    def varying(self) -> frozenset[str]:
        return Network(nodes=tuple(self.nodes), outputs=(), arrays=self.arrays).varying

    def moved(self, x: Node) -> Node:
        """The samples on axis 1 for a while, where sums with a constant and neurons work too."""
        order = (1, 0, *range(2, len(x.shape)))
        shape = tuple(x.shape[i] for i in order)
        at = None if x.batch is None else 1
        y = self.add(Transpose, [x], shape, permutation=order, batch=at)
        if self.pick(True, False):
            y = self.add(Sum, [y, self.constant(*shape)], shape, coefficients=(1.0, 1.0))
        if self.pick(True, False):
            y = self.add(Affine, [y], shape, shift=self.array(self.numbers(shape[0], *[1] * (len(shape) - 1))))
        y = self.neuron(y)
        return self.add(Transpose, [y], x.shape, permutation=order, batch=x.batch)

    def merged(self, x: Node) -> Node:
        """The channels merged into the samples' axis for a while: extent k > 1 per sample."""
        if len(x.shape) < 3:
            return x
        rows = self.add(Reshape, [x], x.shape[1:])
        y = self.affine(rows) if self.pick(True, False) else self.linear(rows)
        if not self.dyadic and self.pick(True, False):
            y = self.differential("softmax", [y], axes=(len(y.shape) - 1,))
        y = self.neuron(y)
        return self.add(Reshape, [y], (1, *y.shape))

    def rearranged(self, x: Node) -> Node:
        axis = len(x.shape) - 1
        size = x.shape[axis]
        match self.pick("slice", "pad", "reduce", "expand", "flatten"):
            case "slice":
                reverse = self.pick(True, False)
                start, step = (size - 1, -1) if reverse else (0, 2)
                kept = size if reverse else -(-size // 2)
                return self.add(Slice, [x], (*x.shape[:-1], kept), axis=axis, start=start, step=step)
            case "pad":
                amounts = [0] * (2 * len(x.shape))
                amounts[axis], amounts[-1] = 1, self.pick(0, 1)
                mode = self.pick("constant", "edge", "wrap", *(["reflect"] if size > 1 else []))
                wide = size + amounts[axis] + amounts[-1]
                value = 0.25 if mode == "constant" else 0.0
                return self.add(Pad, [x], (*x.shape[:-1], wide), padding=tuple(amounts), mode=mode, value=value)
            case "reduce" if len(x.shape) > 2:
                return self.add(Reduce, [x], x.shape[:-1], op="sum", axes=(axis,), keepdims=False)
            case "expand" if size == 1:
                return self.add(Expand, [x], (*x.shape[:-1], 3))
            case _:
                return self.add(Reshape, [x], (1, int(np.prod(x.shape))))

    def product(self, x: Node) -> Node:
        """x times its own transpose: a product of two values that vary."""
        if self.dyadic or len(x.shape) != 3:
            return x
        _, channels, size = x.shape
        other = self.add(Transpose, [x], (1, size, channels), permutation=(0, 2, 1))
        shape = (1, channels, channels)
        f = Operator(name="f", inputs=(x.name, other.name), shape=shape, batch=x.batch, op="matmul")
        nothing = (None, None)
        return self.add(Differential, [x, other], shape, function=f, low=nothing, high=nothing, nonzero=(0.0, 0.0))


RULES = [
    "convolution", "convolution", "transposed", "linear", "affine", "sum", "concatenated", "pool", "pool", "function",
    "moved", "merged", "rearranged", "product",
]  # fmt: skip


@st.composite
def networks(draw: Any, dyadic: bool) -> tuple[Network, dict[str, np.ndarray]]:
    """A network and feeds for it."""
    batched = draw(st.sampled_from([True, True, True, False]))
    make = Maker(draw, dyadic=dyadic, batched=batched)
    shape = draw(st.sampled_from([(1, 4), (1, 2, 6), (1, 4, 3), (1, 2, 5, 4)]))
    x: Node = make.add(Input, [], shape, batch=make.batch)
    make.add(Input, [], (1,), batch=make.batch, dtype="int64")
    for _ in range(draw(st.integers(1, 3 if dyadic else 4))):
        for rule in draw(st.lists(st.sampled_from(RULES), max_size=2)):
            if int(np.prod(x.shape)) <= 120:
                x = getattr(make, rule)(x)
        x = make.neuron(x)
    middle = x
    if draw(st.booleans()):
        x = make.linear(x)
        if not dyadic and draw(st.booleans()):
            x = make.function(x)
    outputs = (x.name, middle.name) if draw(st.booleans()) else (x.name,)
    schedule = draw(st.sampled_from(SCHEDULES))
    net = Network(
        nodes=tuple(make.nodes),
        outputs=tuple(dict.fromkeys(outputs)),
        arrays=make.arrays,
        schedule=schedule,
        stage="snn",
    ).pruned()
    samples = SAMPLES if batched else 1
    feeds = {"v0": make.numbers(samples, *shape[1:]), "v1": make.rng.integers(0, VOCABULARY, (samples,))}
    return net, feeds


def simulated(net: Network, feeds: dict[str, np.ndarray], **options: Any) -> tuple[Run, dict[str, np.ndarray]]:
    """A run in float64, and the values over all steps of each node that the executor shows."""
    seen: dict[str, list[torch.Tensor]] = {}

    def observe(node: Node, series: torch.Tensor) -> None:
        seen.setdefault(node.name, []).append(series.clone())

    run = Engine(net, dtype=torch.float64).run(feeds, T, observe=observe, **options)
    return run, {name: torch.cat(pieces).numpy() for name, pieces in seen.items()}


def compare(net: Network, feeds: dict[str, np.ndarray]) -> None:
    check(net, "generation")
    check_shapes(net, "generation")
    steps = reference.run(net, feeds, T)
    neurons = [n.name for n in net.nodes if isinstance(n, Neuron) and n.name in net.varying]
    wanted = {name: np.stack([values[name] for values in steps]) for name in neurons}
    checkpoints = (1, 3, T)
    for pieces in (None, 1, 3):
        run, seen = simulated(net, feeds, checkpoints=checkpoints, steps_at_once=pieces)
        for name in neurons:
            assert np.array_equal(seen[name], wanted[name]), f"{name} in pieces of {pieces}"
        for name, found in run.outputs.items():
            for i, t in enumerate(checkpoints):
                mean = sum(values[name] for values in steps[:t]) / net.schedule.divisor(t)
                scale = max(1.0, float(np.abs(mean).max()))
                np.testing.assert_allclose(found[i].numpy(), mean, rtol=0, atol=1e-12 * scale, err_msg=f"{name} at {t}")
        for name in neurons:
            amplitude = net.arrays[net[name].amplitude]  # type: ignore[attr-defined]
            z = wanted[name] / np.where(amplitude == 0, 1, amplitude)
            if isinstance(node := net[name], CentredIF):  # a constant flows beside its spikes
                flows = (np.arange(T) < node.until).reshape(-1, *[1] * (z.ndim - 1))
                z = np.where(amplitude == 0, 0, np.round(z - flows * net.arrays[node.centre] / node.until))
            if isinstance(net[name], LeakyIF):  # its spikes are graded by the slope: each counts once
                z = np.sign(z)
            z = np.sign(z) if net[name].graded else z  # type: ignore[attr-defined]
            activity = run.activity[name]
            assert activity.positive == pytest.approx(z[z > 0].sum(), abs=1e-9)
            assert activity.negative == pytest.approx(-z[z < 0].sum(), abs=1e-9)
            events, axis = (z != 0).sum(0), net[name].batch
            if axis is not None:
                events = sum(np.split(events, SAMPLES, axis))
            assert np.array_equal(activity.events.numpy(), events)
    if net.inputs[0].batch is not None:
        for i in range(SAMPLES):
            _, alone = simulated(net, {name: x[i : i + 1] for name, x in feeds.items()})
            for name in neurons:
                axis = (net[name].batch or 0) + 1
                assert np.array_equal(alone[name], np.split(wanted[name], SAMPLES, axis)[i]), f"{name}, sample {i}"


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks(dyadic=True))
def test_dyadic_networks(case: tuple[Network, dict[str, np.ndarray]]) -> None:
    compare(*case)


@pytest.mark.slow
@settings(max_examples=160, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks(dyadic=False))
def test_generic_networks(case: tuple[Network, dict[str, np.ndarray]]) -> None:
    compare(*case)


def fixed(schedule: Schedule = SCHEDULES[0]) -> Network:
    """input (1, 2) -> linear with bias -> early signed neuron -> clamped square -> neuron -> linear."""
    arrays = {
        "w": np.array([[1.0, 0.5], [-0.5, 1.0]]),
        "b": np.array([0.25, -0.125]),
        "one": np.array(1.0),
        "half": np.array(0.5),
    }
    common: dict[str, Any] = {"shape": (1, 2), "batch": 0}
    linear: dict[str, Any] = {"weight": "w", "bias": "b", "axis": 1}
    neuron: dict[str, Any] = {"threshold": "one", "amplitude": "one", "v_init": "half", "negative": "early"}
    square = Operator(name="f", inputs=("z", "z"), op="multiply", **common)
    return Network(
        nodes=(
            Input(name="x", **common),
            Linear(name="h", inputs=("x",), **common, **linear),
            SignedIF(name="z", inputs=("h",), **common, **neuron),
            Differential(
                name="d",
                inputs=("z", "z"),
                function=square,
                low=(0.0,) * 2,
                high=(0.375,) * 2,
                nonzero=(0.0,) * 2,
                **common,
            ),
            SignedIF(name="s", inputs=("d",), **common, **neuron),
            Linear(name="y", inputs=("s",), **common, **linear),
        ),
        outputs=("y",),
        arrays=arrays,
        schedule=schedule,
        stage="snn",
    )


FEEDS = {"x": np.array([[0.5, 0.75], [-0.25, 0.5], [1.5, -1.0]])}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.kind}{s.steps}")
def test_schedules_against_a_scalar_simulation(schedule: Schedule) -> None:
    """The gate multiplies input and biases alike, D(t) divides the read-out: written out for the first layer."""
    net = fixed(schedule)
    u, counts = np.full((3, 2), 0.5), np.zeros((3, 2))
    _, seen = simulated(net, FEEDS)
    on = {"constant": T, "window": schedule.steps, "once": 1}[schedule.kind]
    for t in range(T):
        if t < on:
            u = u + FEEDS["x"] @ net.arrays["w"].T + net.arrays["b"]
        z = np.where(u >= 1, 1, np.where((u < 0) & (counts > 0), -1, 0))
        u, counts = u - z, counts + z
        assert np.array_equal(seen["z"][t], z), f"step {t + 1}"
    run, _ = simulated(net, FEEDS, checkpoints=range(1, T + 1))
    total = np.cumsum(seen["s"], 0)
    for t in range(T):
        wanted = total[t] / min(t + 1, on) @ net.arrays["w"].T + net.arrays["b"]
        np.testing.assert_allclose(run.outputs["y"][t].numpy(), wanted, atol=1e-12)


def test_differential_follows_the_mean_and_counts_its_clamps() -> None:
    """The running mean of y is f of the clamped running mean of x, at every step."""
    _, seen = simulated(fixed(), FEEDS)
    mean = np.cumsum(seen["z"], 0) / np.arange(1, T + 1)[:, None, None]
    wanted = np.clip(mean, 0, 0.375) ** 2
    np.testing.assert_allclose(np.cumsum(seen["d"], 0) / np.arange(1, T + 1)[:, None, None], wanted, atol=1e-12)
    moved = 2 * int(((mean < 0) | (mean > 0.375)).sum())
    machine = reference.Machine(network=fixed(), feeds=FEEDS)
    for _ in range(T):
        machine.step()
    for pieces in (None, 2):
        run, _ = simulated(fixed(), FEEDS, steps_at_once=pieces)
        assert run.clamps == machine.clamps == {"d": moved}
    assert moved > 0


@pytest.mark.parametrize("checkpoints", [None, (1,), (2, 5), tuple(range(1, T + 1)), (T,)])
def test_checkpoints(checkpoints: tuple[int, ...] | None) -> None:
    steps = reference.run(fixed(), FEEDS, T)
    for pieces in (None, 1, 4):
        run, _ = simulated(fixed(), FEEDS, checkpoints=checkpoints, steps_at_once=pieces)
        at = checkpoints or (T,)
        assert len(run.outputs["y"]) == len(at)
        for i, t in enumerate(at):
            np.testing.assert_allclose(run.outputs["y"][i].numpy(), sum(s["y"] for s in steps[:t]) / t, atol=1e-12)


def test_without_counting_and_with_many_clamps_nothing_else_changes() -> None:
    counted, _ = simulated(fixed(), FEEDS)
    plain, _ = simulated(fixed(), FEEDS, count=False)
    assert plain.activity == {}
    assert counted.activity.keys() == {"z", "d", "s"}
    assert torch.equal(plain.outputs["y"], counted.outputs["y"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": "gone"}, "array gone"),
        ({"inputs": ("later",)}, "later"),
        ({"batch": 5}, "axis 5"),
        ({"name": "x"}, "two nodes compute x"),
    ],
)
def test_an_unsound_network_is_refused(change: dict[str, Any], message: str) -> None:
    from snncc.errors import InvariantBroken

    net = fixed()
    nodes = tuple(msgspec.structs.replace(n, **change) if n.name == "z" else n for n in net.nodes)
    with pytest.raises(InvariantBroken, match=f"after a pass: .*{message}"):
        check(Network(nodes=nodes, outputs=("y",), arrays=net.arrays, stage="snn"), "a pass")


def test_a_wrong_shape_is_found() -> None:
    from snncc.errors import InvariantBroken

    net = fixed()
    nodes = tuple(msgspec.structs.replace(n, shape=(1, 3)) if n.name == "y" else n for n in net.nodes)
    with pytest.raises(InvariantBroken, match=r"after a pass: y \(Linear\) has shape \[2, 2\], declared \[2, 3\]"):
        check_shapes(Network(nodes=nodes, outputs=("y",), arrays=net.arrays, stage="snn"), "a pass")
