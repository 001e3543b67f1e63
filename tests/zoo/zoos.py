# SPDX-License-Identifier: Apache-2.0
"""Small zoos."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx

from small_models import normal, parsed


def perceptron(seed: int, hidden: int = 12) -> onnx.ModelProto:
    """Four inputs, a hidden ReLU layer, three classes."""
    text = """agraph (float[N, 4] x) => (float[N, 3] y) {
        h = Gemm(x, w, b)
        r = Relu(h)
        y = MatMul(r, v)
    }"""
    return parsed(text, w=normal(seed, 4, hidden), b=normal(seed + 1, hidden), v=normal(seed + 2, hidden, 3))


def labelled(model: onnx.ModelProto, count: int = 40) -> dict[str, np.ndarray]:
    """Samples with the ANN's own choices as labels, so that its accuracy is 1."""
    from onnx.reference import ReferenceEvaluator

    x = normal(7, count, 4)
    y = np.asarray(ReferenceEvaluator(model).run(None, {"x": x})[0]).argmax(1)
    return {"x": x, "y": y.astype(np.int64)}


def make_zoo(folder: Path) -> Path:
    """Two perceptrons, one of them with labels, one model that is refused and one that is cut off."""
    (folder / "deep").mkdir(parents=True)
    first, second = perceptron(1), perceptron(5)
    onnx.save(first, folder / "alpha.onnx")
    np.savez(folder / "alpha.npz", **labelled(first))
    onnx.save(second, folder / "deep" / "beta.onnx")
    refused = parsed("agraph (float[N, 4] x) => (float[N, 4] y) { y = RandomNormalLike(x) }")
    onnx.save(refused, folder / "random.onnx")
    (folder / "broken.onnx").write_bytes(second.SerializeToString()[:150])
    return folder


def processes_of(out: Path) -> list[int]:
    """The processes that convert models into a folder, by its name in their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"snncc.cli.job" in words and os.fsencode(out) in words:
                found.append(int(entry.name))
    return found
