# SPDX-License-Identifier: Apache-2.0
"""A table of one-node models: operands that are fed (three samples on axis 0) or constants, and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator
from three_ways import truth

from snncc.ir.network import Network
from snncc.ir.nodes import Clip, Differential, Input, LeakyIF, LeakyRelu, Node, Operator, Relu
from snncc.ir.operators import OPERATORS, OperatorInfo

SAMPLES = 3
RNG = np.random.default_rng(11)


@dataclass(frozen=True, slots=True)
class Fed:
    """An operand that is a graph input; `array` holds three samples on axis 0."""

    array: np.ndarray


def normal(*shape: int) -> np.ndarray:
    """A constant of random normal float32 numbers."""
    return RNG.standard_normal(shape).astype(np.float32)


def fed(*shape: int, low: float | None = None, high: float = 1.0) -> Fed:
    """A fed operand: random normal, or uniform in [low, high)."""
    if low is None:
        return Fed(normal(SAMPLES, *shape))
    return Fed(RNG.uniform(low, high, (SAMPLES, *shape)).astype(np.float32))


def fed_ints(high: int, *shape: int, low: int = 0, dtype: Any = np.int64) -> Fed:
    """A fed operand of random integers (bool with high = 2), which the network treats as static."""
    return Fed(RNG.integers(low, high, (SAMPLES, *shape), dtype=np.int64 if dtype is bool else dtype).astype(dtype))


@dataclass(frozen=True, slots=True)
class Case:
    """A one-node model and what is fed to it."""

    op: str
    operands: tuple[Fed | np.ndarray | None, ...]
    attributes: Mapping[str, Any]
    opset: int
    outputs: tuple[str, ...]
    #: onnxruntime has no kernel for it: compare with onnx.reference.
    by_onnx: bool
    one_at_a_time: bool
    rtol: float
    #: The axis of the outputs that carries the samples.
    batch: int

    @property
    def name(self) -> str:
        """What pytest shows."""
        shown = [f"{k}={v}" for k, v in self.attributes.items() if not isinstance(v, np.ndarray | onnx.TensorProto)]
        shapes = ["c" if isinstance(x, np.ndarray) else "" for x in self.operands]
        return "-".join([f"{self.op}{self.opset}", "".join(shapes), *shown]).replace(" ", "")

    @property
    def feeds(self) -> dict[str, np.ndarray]:
        """The fed arrays by input name."""
        return {f"in{i}": x.array for i, x in enumerate(self.operands) if isinstance(x, Fed)}

    def model(self) -> onnx.ModelProto:
        """The ONNX model."""
        of = helper.np_dtype_to_tensor_dtype
        names = ["" if x is None else f"in{i}" for i, x in enumerate(self.operands)]
        graph = helper.make_graph(
            [helper.make_node(self.op, names, self.outputs, **self.attributes)],
            "case",
            [helper.make_tensor_value_info(n, of(a.dtype), ["N", *a.shape[1:]]) for n, a in self.feeds.items()],
            [onnx.ValueInfoProto(name=name) for name in self.outputs if name and not name.startswith("_")],
            [
                onnx.numpy_helper.from_array(x, f"in{i}")
                for i, x in enumerate(self.operands)
                if isinstance(x, np.ndarray)
            ],
        )
        found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        inferred = onnx.shape_inference.infer_shapes(found)
        for mine, known in zip(graph.output, inferred.graph.output, strict=True):
            kind = known.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
            mine.CopyFrom(helper.make_tensor_value_info(mine.name, kind, None))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def case(
    op: str,
    *operands: Fed | np.ndarray | None,
    opset: int = 21,
    outputs: tuple[str, ...] = ("y",),
    by_onnx: bool = False,
    one_at_a_time: bool = False,
    rtol: float = 1e-5,
    batch: int = 0,
    **attributes: Any,
) -> Case:
    """One row of a table."""
    return Case(op, operands, attributes, opset, outputs, by_onnx, one_at_a_time, rtol, batch)


def by_onnx_reference(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs according to onnx.reference."""
    names = [o.name for o in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(names, dict(feeds)), strict=True))


def by_sample(row: Case, model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of one run per sample, joined: what a batch must give."""
    run = by_onnx_reference if row.by_onnx else truth
    samples = len(next(iter(feeds.values())))
    runs = [run(model, {name: x[i : i + 1] for name, x in feeds.items()}) for i in range(samples)]
    if samples == 1:
        return runs[0]
    return {name: np.concatenate([r[name] for r in runs], row.batch) for name in runs[0]}


def limits(
    network: Network, node: Node, values: Mapping[str, np.ndarray]
) -> list[tuple[float | None, float | None, float]]:
    """For each input the range that a differential node keeps it in, and the magnitude that a denominator keeps."""
    info = OPERATORS[node.op] if isinstance(node, Operator) else OperatorInfo(homogeneous=True)
    found: list[tuple[float | None, float | None, float]] = []
    for i, name in enumerate(node.inputs):
        if i not in network.varying_positions(node) or info.homogeneous:
            found.append((None, None, 0.0))
            continue
        least, most = info.domain[i] if i < len(info.domain) else (None, None)
        x = values[name].astype(np.float64)
        low, high, margin = float(x.min()), float(x.max()), float(np.ptp(x)) / 10
        magnitude = float(np.abs(x).min()) if i in info.nonzero else 0.0
        bounds = (
            max(low - margin, -np.inf if least is None else least),
            min(high + margin, np.inf if most is None else most),
        )
        found.append((*bounds, magnitude))
    return found


def event_driven(network: Network, values: Mapping[str, np.ndarray]) -> Network:
    """The network with its float inputs sent as signed spikes and its functions in their differential form.

    `values` are those of the ANN, from which the ranges of the functions' arguments come.
    """
    nodes: list[Node] = []
    sent: dict[str, str] = {}
    for old in network.nodes:
        node = msgspec.structs.replace(old, inputs=tuple(sent.get(name, name) for name in old.inputs))
        if isinstance(node, Input) and node.name in network.varying:
            sent[node.name] = f"{node.name}.spikes"
            arrays = {"threshold": "size", "amplitude": "size", "v_init": "half", "slope": "one"}
            spikes = LeakyIF(name=sent[node.name], inputs=(node.name,), shape=node.shape, batch=node.batch, **arrays)
            nodes += [node, spikes]
        elif isinstance(node, Operator | Relu | Clip | LeakyRelu) and not network.is_linear(old):
            low, high, least = zip(*limits(network, old, values), strict=True)
            kept = {"inputs": node.inputs, "shape": node.shape, "batch": node.batch}
            nodes.append(Differential(name=node.name, function=node, low=low, high=high, nonzero=least, **kept))
        else:
            nodes.append(node)
    size = np.float32(4)
    return replace(network, nodes=tuple(nodes), stage="snn").with_arrays(
        {"size": size, "half": size / 2, "one": np.float32(1)}
    )
