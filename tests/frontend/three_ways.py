# SPDX-License-Identifier: Apache-2.0
"""A model run in onnxruntime, in the torch executor and in the reference, for one sample and for three."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from snncc.ann.exact_integers import exact_products
from snncc.execute import reference
from snncc.execute.torch.engine import Engine
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import Lowered, lower
from snncc.functions.onnx import runtime
from snncc.ir.network import Network

FLOAT = TensorProto.FLOAT
RNG = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray:
    """Random normal float32 numbers."""
    return RNG.standard_normal(shape).astype(np.float32)


def single(
    op: str,
    inputs: Mapping[str, list[int | str]],
    constants: Mapping[str, np.ndarray],
    outputs: list[str],
    order: list[str],
    *,
    opset: int = 21,
    types: Mapping[str, int] | None = None,
    domain: str = "",
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; `order` lists the names of its inputs."""
    node = helper.make_node(op, order, outputs, domain=domain, **attributes)
    return model([node], inputs, constants, [o for o in outputs if o], opset=opset, types=types)


def model(
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, list[int | str]],
    constants: Mapping[str, np.ndarray],
    outputs: list[str],
    *,
    opset: int = 21,
    types: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model whose inputs are float32 where `types` says nothing else; the types of outputs are inferred."""
    types = types or {}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, types.get(n, FLOAT), s) for n, s in inputs.items()],
        [onnx.ValueInfoProto(name=n) for n in outputs],
        [onnx.numpy_helper.from_array(np.asarray(a, order="C"), n) for n, a in constants.items()],
    )
    domains = {node.domain for node in nodes if node.domain}
    imports = [helper.make_opsetid("", opset), *[helper.make_opsetid(domain, 1) for domain in sorted(domains)]]
    made = helper.make_model(graph, opset_imports=imports, ir_version=10)
    made = onnx.shape_inference.infer_shapes(made)
    for output in made.graph.output:
        if output.type.tensor_type.elem_type == 0:
            output.type.tensor_type.elem_type = FLOAT
    return made


def prepared(source: onnx.ModelProto, **shapes: tuple[int | str, ...]) -> tuple[onnx.ModelProto, Lowered]:
    """The model with its samples first, and what lowering makes of it."""
    ready = samples_first(source, shapes)
    return ready, lower(normalize(ready))


def truth(source: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs according to onnxruntime, whose kernels for 8-bit codes of mixed signs saturate on some CPUs."""
    session = runtime.session(exact_products(source).SerializeToString(), entries={"session.disable_quant_qdq": "1"})
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


Oracle = Callable[[onnx.ModelProto, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def same_three_ways(
    source: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    one_at_a_time: bool = False,
    oracle: Oracle = truth,
    **shapes: tuple[int | str, ...],
) -> Network:
    """Compare all outputs for samples [0:1] and [0:3] of `feeds` (samples on axis 0); returns the network."""
    ready, lowered = prepared(source, **shapes)
    assert lowered.network is not None, lowered.problems
    assert (lowered.one_at_a_time is not None) == one_at_a_time, lowered.one_at_a_time
    network = lowered.network
    pieces = [slice(i, i + 1) for i in range(3)] if one_at_a_time else [slice(0, 1), slice(0, 3)]
    for piece in pieces:
        part = {name: x[piece] if x.ndim else x for name, x in feeds.items()}
        want = oracle(ready, part)
        defined = reference.evaluate(network, part)
        torch32 = Engine(network).evaluate(part)
        torch64 = Engine(network, dtype=torch.float64).evaluate(part)
        for name in network.outputs:
            assert defined[name].shape == want[name].shape, name
            np.testing.assert_allclose(defined[name], want[name], rtol=rtol, atol=atol)
            np.testing.assert_allclose(torch32[name].numpy(), want[name], rtol=rtol, atol=atol)
            np.testing.assert_allclose(torch64[name].numpy(), defined[name], rtol=1e-9, atol=1e-9)
    return network
