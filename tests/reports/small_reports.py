# SPDX-License-Identifier: Apache-2.0
"""Small networks with reports: a chain with a wrong layer, a deep residual network, names that attack a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from small_models import dataset, normal, parsed
from snncc import api
from snncc.data.dataset import Dataset

HOSTILE = "<script>alert(1)</script>"


def labelled(model: onnx.ModelProto, data: Dataset) -> Dataset:
    """The data with what the ANN says as labels."""
    from snncc.ann.truth import Truth

    outputs = Truth(model, threads=1).run(data.inputs)
    return replace(data, labels=next(iter(outputs.values())).argmax(1).astype(np.int64))


def chain(name: str = "r") -> tuple[onnx.ModelProto, Dataset]:
    """Three layers of neurons; the value of the second is called `name`."""
    graph = """
    g (float[N, 6] x) => (float[N, 4] y) {
      a = Gemm(x, w, b) p = Relu(a) c = Gemm(p, v, b) q = Relu(c) d = Gemm(q, v, b) s = Relu(d) y = Gemm(s, u)
    }
    """
    model = parsed(graph, w=normal(1, 6, 12), v=normal(2, 12, 12) / 3, b=normal(3, 12) / 4, u=normal(4, 12, 4))
    for node in model.graph.node:
        node.input[:] = [name if value == "q" else value for value in node.input]
        node.output[:] = [name if value == "q" else value for value in node.output]
    return model, labelled(model, dataset(x=normal(5, 96, 6)))


def residual(blocks: int, prefix: str = "") -> tuple[onnx.ModelProto, Dataset]:
    """A residual network of 2 blocks + 1 convolutions and a read-out; `prefix` comes before the name of each value."""
    lines, last = ["h0 = Conv<pads=[1,1,1,1]>(x, first) r0 = Relu(h0)"], "r0"
    for i in range(blocks):
        lines.append(
            f"a{i} = Conv<pads=[1,1,1,1]>({last}, w) p{i} = Relu(a{i}) b{i} = Conv<pads=[1,1,1,1]>(p{i}, w) "
            f"s{i} = Add(b{i}, {last}) q{i} = Relu(s{i})"
        )
        last = f"q{i}"
    lines.append(f"m = GlobalAveragePool({last}) f = Flatten(m) y = Gemm(f, u)")
    graph = f"g (float[N, 2, 6, 6] x) => (float[N, 3] y) {{ {' '.join(lines)} }}"
    model = parsed(graph, first=normal(1, 3, 2, 3, 3) / 4, w=normal(2, 3, 3, 3, 3) / 9, u=normal(3, 3, 3))
    inner = {name for node in model.graph.node for name in node.output} - {"y"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [prefix + name if name in inner else name for name in names]
    return model, labelled(model, dataset(x=normal(4, 16, 2, 6, 6)))


def bundle(folder: Path, model: onnx.ModelProto, data: Dataset, **options: object) -> Path:
    """A bundle of a small model."""
    path = folder / "small.snn"
    given = {"method": "rate", "timesteps": 8, "calib": data, "out": path, "force": True, **options}
    api.convert(model, **given)  # type: ignore[arg-type]
    return path
