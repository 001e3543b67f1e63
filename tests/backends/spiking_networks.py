# SPDX-License-Identifier: Apache-2.0
"""Small spiking networks built by hand, which between them hold everything that a backend meets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import helper

from snncc.conversion.shapes import check_shapes
from snncc.ir.check import check
from snncc.ir.network import Network, frozen
from snncc.ir.nodes import (
    IF,
    AdaptiveIF,
    Affine,
    AveragePool,
    CentredIF,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Differential,
    Encoder,
    Foreign,
    Input,
    LeakyIF,
    Linear,
    MaxPool,
    MsatIF,
    MultiThreshold,
    Node,
    Operator,
    Pad,
    Reduce,
    Relu,
    Repeat,
    SignedIF,
    Sum,
    Transpose,
)
from snncc.ir.schedule import Schedule


@dataclass(slots=True)
class Sketch:
    """A network in the making; a node is added by its type, name, inputs and shape (batch axis 0 by default)."""

    seed: int = 0
    batch: int | None = 0
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def array(self, name: str, *shape: int) -> str:
        """Normal numbers; returns the name."""
        self.arrays[name] = frozen(self.rng.standard_normal(shape).astype(np.float32))
        return name

    def add(
        self, node: Callable[..., Node], name: str, inputs: Sequence[str], shape: Sequence[int], /, **more: Any
    ) -> str:
        """A node; returns its name."""
        more.setdefault("batch", self.batch)
        self.nodes.append(node(name=name, inputs=tuple(inputs), shape=tuple(shape), **more))
        return name

    def neuron(self, kind: Callable[..., Node], name: str, source: str, shape: Sequence[int], **more: Any) -> str:
        """A neuron with a threshold of its own per entry, one of them 0, and another amplitude."""
        extents = tuple(1 if i == self.batch else d for i, d in enumerate(shape))
        threshold = self.rng.uniform(0.2, 0.9, extents).astype(np.float32)
        threshold.flat[0] = 0
        values = {"threshold": threshold, "amplitude": threshold * np.float32(1.5), "v_init": threshold / 2}
        for key, value in values.items():
            self.arrays[f"{name}/{key}"] = frozen(value)
        if kind is LeakyIF:
            self.arrays[f"{name}/slope"] = frozen(np.full(1, -0.25, np.float32))
            more["slope"] = f"{name}/slope"
        if kind is CentredIF:
            self.arrays[f"{name}/centre"] = frozen(np.arange(threshold.size, dtype=np.float32).reshape(extents) % 3)
            more["centre"] = f"{name}/centre"
        return self.add(kind, name, [source], shape, **{key: f"{name}/{key}" for key in values}, **more)

    def linear(
        self, name: str, source: str, shape: Sequence[int], size: int, *, axis: int = 1, bias: bool = True
    ) -> str:
        """A linear layer of that many inputs."""
        weight = self.array(f"{name}/weight", shape[axis], size)
        return self.add(
            Linear,
            name,
            [source],
            shape,
            weight=weight,
            bias=self.array(f"{name}/bias", shape[axis]) if bias else None,
            axis=axis,
        )

    def differential(
        self,
        name: str,
        inputs: Sequence[str],
        function: Callable[..., Node],
        shape: Sequence[int],
        *,
        low: Sequence[float | None] | None = None,
        high: Sequence[float | None] | None = None,
        nonzero: Sequence[float] | None = None,
        dtype: str = "float32",
        **more: Any,
    ) -> str:
        """The event-driven form of a function."""
        f = function(name=name, inputs=tuple(inputs), shape=tuple(shape), batch=self.batch, dtype=dtype, **more)
        free = (None,) * len(inputs)
        return self.add(
            Differential,
            name,
            inputs,
            shape,
            function=f,
            low=tuple(low or free),
            high=tuple(high or free),
            nonzero=tuple(nonzero or (0.0,) * len(inputs)),
        )

    def network(self, *outputs: str, schedule: Schedule | None = None) -> Network:
        """The finished, checked network."""
        made = Network(
            nodes=tuple(self.nodes),
            outputs=outputs,
            arrays=dict(sorted(self.arrays.items())),
            schedule=schedule or Schedule(),
            stage="snn",
        ).pruned()
        check(made, "building")
        if "f/model" not in made.arrays:  # onnxruntime runs nothing without data
            check_shapes(made, "building")
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A network, its feeds and a number of steps."""

    network: Network
    feeds: dict[str, np.ndarray]
    timesteps: int = 5


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    """Normal float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


#: Each neuron type with each of its options.
NEURON_OPTIONS: list[tuple[Callable[..., Node], dict[str, Any]]] = [
    (IF, {"reset": "subtract"}),
    (IF, {"reset": "zero"}),
    (SignedIF, {"negative": "signed", "cap": 3}),
    (SignedIF, {"negative": "early", "levels": 2}),
    (SignedIF, {"negative": "at_zero"}),
    (CentredIF, {"until": 3}),
    (CentredIF, {"until": 100, "levels": 2}),
    (LeakyIF, {"negative": "signed"}),
    (LeakyIF, {"negative": "early", "levels": 3}),
    (MultiThreshold, {"sizes": 4}),
]


def every_neuron(schedule: Schedule | None = None, *, batch: int | None = 0) -> Network:
    """All neurons behind one another and beside one another, over a skip from the input current."""
    s = Sketch(batch=batch)
    s.add(Input, "x", [], (1, 6))
    previous = s.linear("current", "x", (1, 8), 6)
    for i, (kind, options) in enumerate(NEURON_OPTIONS):
        fired = s.neuron(kind, f"spikes{i}", previous, (1, 8), **options)
        again = s.linear(f"layer{i}", fired, (1, 8), 8, bias=i % 2 == 0)
        previous = s.add(Sum, f"sum{i}", [again, "current"], (1, 8), coefficients=(1.0, 0.5))
    s.neuron(IF, "last", previous, (1, 8))
    s.linear("y", "last", (1, 3), 8)
    return s.network("y", schedule=schedule)


def images(schedule: Schedule | None = None) -> Network:
    """Convolutions, paddings, pools, constants and channels behind one another."""
    s = Sketch(seed=2)
    s.add(Input, "x", [], (1, 2, 6, 6))
    window = {"stride": (1, 1), "dilation": (1, 1)}
    weight, bias = s.array("c1/weight", 4, 2, 3, 3), s.array("c1/bias", 4)
    s.add(Conv, "c1", ["x"], (1, 4, 6, 6), weight=weight, bias=bias, padding=(1, 1, 1, 1), **window)
    s.neuron(SignedIF, "s1", "c1", (1, 4, 6, 6))
    s.differential(
        "m1",
        ["s1"],
        MaxPool,
        (1, 4, 3, 3),
        kernel=(2, 2),
        stride=(2, 2),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        ceil_mode=False,
    )
    s.add(Pad, "p1", ["m1"], (1, 4, 5, 6), padding=(0, 0, 1, 1, 0, 0, 1, 2), mode="constant", value=0.5)
    weight, bias = s.array("t1/weight", 4, 2, 2, 2), s.array("t1/bias", 2)
    s.add(
        ConvTranspose,
        "t1",
        ["p1"],
        (1, 2, 6, 7),
        weight=weight,
        bias=bias,
        padding=(0, 0, 0, 0),
        output_padding=(0, 0),
        **window,
    )
    s.add(Affine, "a1", ["t1"], (1, 2, 6, 7), scale=s.array("a1/scale", 2, 1, 1), shift=s.array("a1/shift", 2, 1, 1))
    s.add(Constant, "k", [], (1, 2, 6, 7), batch=None, value=s.array("k/value", 1, 2, 6, 7))
    s.add(Sum, "b1", ["a1", "k"], (1, 2, 6, 7), coefficients=(1.0, -0.25))
    s.add(Repeat, "kk", ["k"], (1, 2, 6, 7))
    s.add(Concat, "j1", ["kk", "b1"], (1, 4, 6, 7), axis=1)
    s.neuron(LeakyIF, "s2", "j1", (1, 4, 6, 7))
    s.add(
        AveragePool,
        "y",
        ["s2"],
        (1, 4, 3, 3),
        kernel=(2, 2),
        stride=(2, 2),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        ceil_mode=False,
        count_include_pad=False,
    )
    return s.network("y", "b1", "x", schedule=schedule)


def channels_last() -> Network:
    """Images with their channels last: sums over memory in another order round differently."""
    s = Sketch(seed=7)
    s.add(Input, "x", [], (1, 8, 8, 3))
    s.add(Transpose, "turned", ["x"], (1, 3, 8, 8), permutation=(0, 3, 1, 2))
    window = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1)}
    s.add(Conv, "c1", ["turned"], (1, 32, 8, 8), weight=s.array("c1/weight", 32, 3, 3, 3), **window)
    s.neuron(IF, "s1", "c1", (1, 32, 8, 8))
    s.add(Conv, "c2", ["s1"], (1, 32, 8, 8), weight=s.array("c2/weight", 32, 32, 3, 3), **window)
    s.neuron(SignedIF, "s2", "c2", (1, 32, 8, 8))
    s.add(Reduce, "y", ["s2"], (1, 32), op="mean", axes=(2, 3), keepdims=False)
    return s.network("y")


def analog(schedule: Schedule | None = None, *, batch: int | None = 0) -> Network:
    """Differential nodes: two varying inputs, a denominator, a steady argument, indices, static operands."""
    s = Sketch(seed=3, batch=batch)
    s.add(Input, "x", [], (1, 6))
    s.add(Input, "power", [], (1, 6), dtype="int64")
    s.linear("current", "x", (1, 6), 6)
    s.differential("steady", ["current"], Operator, (1, 6), low=[-1.0], high=[1.5], op="sigmoid")
    s.neuron(IF, "s1", "current", (1, 6))
    s.neuron(SignedIF, "s2", "steady", (1, 6))
    s.differential("product", ["s1", "steady"], Operator, (1, 6), low=[-1.0, None], high=[0.5, 0.75], op="multiply")
    s.differential("ratio", ["s2", "product"], Operator, (1, 6), nonzero=[0.0, 0.25], op="divide")
    s.differential("raised", ["ratio", "power"], Operator, (1, 6), op="power", low=[0.0, None])
    s.differential("positive", ["raised"], Relu, (1, 6))
    s.differential(
        "best",
        ["positive"],
        Operator,
        (1, 1),
        dtype="int64",
        op="arg_max",
        attributes={"axis": 1, "keepdims": True, "last": False, "largest": True},
    )
    s.add(Operator, "scaled", ["best", "factor"], (1, 6), op="multiply")
    s.nodes.insert(-1, Constant(name="factor", shape=(6,), batch=None, value=s.array("factor/value", 6)))
    s.add(Sum, "joined", ["scaled", "positive", "steady"], (1, 6), coefficients=(0.1, 1.0, 1.0))
    s.neuron(IF, "s3", "joined", (1, 6))
    s.differential("y", ["s3"], Operator, (1, 6), low=[0.0], high=[3.0], op="softmax", attributes={"axes": (1,)})
    return s.network("y", "s3", "steady", schedule=schedule)


def sequences() -> Network:
    """The samples on axis 1 of a part, several rows per sample, and tokens that pick steady weights."""
    s = Sketch(seed=4)
    s.add(Input, "x", [], (1, 3, 4))
    s.add(Input, "tokens", [], (1, 3), dtype="int64")
    s.add(Constant, "words", [], (5, 4), batch=None, value=s.array("words/value", 5, 4))
    s.add(Operator, "embedded", ["words", "tokens"], (1, 3, 4), op="gather", attributes={"axis": 0})
    s.add(Operator, "weighted", ["x", "embedded"], (1, 3, 4), op="multiply")
    s.add(Transpose, "turned", ["weighted"], (3, 1, 4), batch=1, permutation=(1, 0, 2))
    s.batch = 1
    s.neuron(SignedIF, "s1", "turned", (3, 1, 4))
    s.linear("hidden", "s1", (3, 1, 4), 4, axis=2)
    s.add(Transpose, "factor", ["embedded"], (3, 1, 4), permutation=(1, 0, 2))
    s.add(Operator, "again", ["hidden", "factor"], (3, 1, 4), op="multiply")
    s.differential("curve", ["again"], Operator, (3, 1, 4), low=[-2.0], high=[2.0], op="tanh")
    s.neuron(IF, "s2", "curve", (3, 1, 4))
    s.linear("y", "s2", (3, 1, 2), 4, axis=2)
    return s.network("y")


HOSTILE = [
    'a"b',
    "a'b",
    'triple """ quotes',
    "line\nbreak\r\u2028",
    "{{ braces }} {x}",
    "class",
    "print",
    "fold",
    "self",
    "τ/μ 層",
    "\x1b[31m\u202e",
    "back\\slash\\",
    "# noqa  # fmt: off",
    "torch",
    "T",
    "D",
    "u1",
    "x" * 300,
    '"' * 150,
    "1",
    "Tensor",
    "mean",
    "mean_mean",
    "forward/weight",
    "/a/b/Relu_output_0",
]


def hostile() -> Network:
    """Names that would break out of a string, a comment or a namespace."""
    s = Sketch(seed=5)
    previous = s.add(Input, "input", [], (1, 4))
    for i, name in enumerate(HOSTILE):
        spiking = i % 3 == 2
        previous = s.neuron(IF, name, previous, (1, 4)) if spiking else s.linear(name, previous, (1, 4), 4)
    s.arrays = {name: frozen(np.abs(a)) for name, a in s.arrays.items()}  # so that the last layers fire too
    s.neuron(IF, "end", previous, (1, 4))
    s.add(Sum, "sum \"of\" 'all' {}", ["end", "self"], (1, 4), coefficients=(1.0, 1e20))
    return s.network("sum \"of\" 'all' {}", "self", "class", "input", 'triple """ quotes')


def foreign() -> Network:
    """An operator that onnxruntime evaluates."""
    s = Sketch(seed=6)
    s.add(Input, "x", [], (1, 4))
    s.linear("current", "x", (1, 4), 4)
    s.neuron(IF, "s1", "current", (1, 4))
    node = helper.make_node("Celu", ["a"], ["b"], alpha=0.5)
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in "ab"]
    made = helper.make_model(
        helper.make_graph([node], "f", kinds[:1], kinds[1:]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    s.arrays["f/model"] = frozen(np.frombuffer(made.SerializeToString(), np.uint8))
    s.differential("f", ["s1"], Foreign, (1, 4), operator="Celu", model="f/model", output=0)
    s.neuron(IF, "s2", "f", (1, 4))
    return s.network("s2")


def silent() -> Network:
    """Nothing spikes and nothing is weighted; many inputs."""
    s = Sketch()
    names = [f"input_{i}_with_a_name_that_is_quite_long" for i in range(9)]
    for name in names:
        s.add(Input, name, [], (1, 4))
    s.add(Input, "index", [], (1, 40), dtype="int64")
    s.add(Constant, "other", [], (12,), batch=None, dtype="int64", value="other/value")
    s.arrays["other/value"] = frozen(np.arange(12) % 4)
    s.add(Sum, "sum", names, (1, 4), coefficients=(1.0, -2.0) * 4 + (0.5,))
    s.add(Operator, "y", ["sum", "other"], (1, 12), op="gather", attributes={"axis": 1})
    return s.network("y", "index")


def adaptive(schedule: Schedule | None = None, *, batch: int | None = 0) -> Network:
    """Neurons whose thresholds change, spikes drawn at random, and encoders of the input."""
    s = Sketch(seed=8, batch=batch)
    s.add(Input, "x", [], (1, 6))
    s.arrays["scale"] = frozen(np.full(1, 1.25, np.float32))
    s.add(Encoder, "drawn", ["x"], (1, 6), kind="poisson", scale="scale", key=11)
    s.add(Encoder, "even", ["x"], (1, 6), kind="uniform", scale="scale", phase=0.25)
    s.add(Sum, "encoded", ["drawn", "even"], (1, 6), coefficients=(1.0, 0.5))
    previous = s.linear("current", "encoded", (1, 8), 6)
    msat = {"alpha": 0.2, "k_a": 0.5, "k_i": 1.5, "c": 2.0, "tau_mp": 0.75, "tau_rd": 1.25}
    kinds: list[tuple[Callable[..., Node], dict[str, Any]]] = [
        (IF, {"burst": 3}),
        (IF, {"reset": "zero", "burst": 2}),
        (AdaptiveIF, {}),
        (AdaptiveIF, {"rule": "alg2", "subtract": "vcur", "scope": "batch", "eta": 0.4}),
        (AdaptiveIF, {"adapt": False, "subtract": "graded"}),
        (MsatIF, msat),
        (MsatIF, {**msat, "burst": 4, "confidence": 0.75, "unsure": 3, "key": 5}),
    ]
    for i, (kind, options) in enumerate(kinds):
        fired = s.neuron(kind, f"spikes{i}", previous, (1, 8), **options)
        again = s.linear(f"layer{i}", fired, (1, 8), 8)
        previous = s.add(Sum, f"sum{i}", [again, "current"], (1, 8), coefficients=(1.0, 1.0))
    s.neuron(IF, "last", previous, (1, 8))
    s.linear("y", "last", (1, 3), 8)
    return s.network("y", "drawn", "even", schedule=schedule)


def alone(network: Network) -> Network:
    """The same without an axis for samples."""
    nodes = tuple(msgspec.structs.replace(node, batch=None) for node in network.nodes)
    return dataclasses.replace(network, nodes=nodes)


def many(network: Network) -> dict[str, np.ndarray]:
    """Three samples for every input."""
    return {
        node.name: normal(3, *node.shape[1:], seed=i)
        if node.dtype == "float32"
        else np.arange(3 * node.shape[1]).reshape(3, -1)
        for i, node in enumerate(network.inputs)
    }


WINDOW, ONCE = Schedule(kind="window", steps=3), Schedule(kind="once")
ROWS = {"x": normal(4, 6)}
PICTURES = {"x": normal(3, 2, 6, 6)}
POWERS = {"x": normal(4, 6), "power": np.arange(24).reshape(4, 6) % 3}
EXAMPLES: dict[str, Callable[[], Example]] = {
    "every_neuron": lambda: Example(network=every_neuron(), feeds=ROWS, timesteps=7),
    "every_neuron_window": lambda: Example(network=every_neuron(WINDOW), feeds=ROWS, timesteps=7),
    "every_neuron_short_window": lambda: Example(network=every_neuron(WINDOW), feeds=ROWS, timesteps=2),
    "every_neuron_once": lambda: Example(network=every_neuron(ONCE), feeds=ROWS),
    "every_neuron_single": lambda: Example(network=every_neuron(batch=None), feeds=ROWS),
    "every_neuron_single_window": lambda: Example(network=every_neuron(WINDOW, batch=None), feeds=ROWS),
    "one_step": lambda: Example(network=every_neuron(), feeds=ROWS, timesteps=1),
    "images": lambda: Example(network=images(), feeds=PICTURES),
    "images_window": lambda: Example(network=images(WINDOW), feeds=PICTURES),
    "images_once": lambda: Example(network=images(ONCE), feeds=PICTURES),
    "channels_last": lambda: Example(network=channels_last(), feeds={"x": normal(3, 8, 8, 3)}),
    "analog": lambda: Example(network=analog(), feeds=POWERS),
    "analog_window": lambda: Example(network=analog(WINDOW), feeds=POWERS),
    "analog_single": lambda: Example(network=analog(batch=None), feeds=POWERS),
    "analog_single_once": lambda: Example(network=analog(ONCE, batch=None), feeds=POWERS),
    "sequences": lambda: Example(
        network=sequences(), feeds={"x": normal(2, 3, 4), "tokens": np.array([[0, 4, 1], [2, 2, 3]])}, timesteps=6
    ),
    "hostile": lambda: Example(network=hostile(), feeds={"input": normal(3, 4)}),
    "foreign": lambda: Example(network=foreign(), feeds={"x": normal(3, 4)}),
    "silent": lambda: Example(network=silent(), feeds=many(silent())),
    "silent_single": lambda: Example(network=alone(silent()), feeds=many(silent())),
    "adaptive": lambda: Example(network=adaptive(), feeds=ROWS, timesteps=9),
    "adaptive_window": lambda: Example(network=adaptive(WINDOW), feeds=ROWS, timesteps=6),
    "adaptive_single": lambda: Example(network=adaptive(batch=None), feeds=ROWS, timesteps=6),
}
