# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes without a torch counterpart, evaluated by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def foreign_session(model: bytes) -> Any:
    """A session on a serialized ONNX model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def foreign_value(x: Tensor, kind: str) -> Any:
    """A value as an array of onnxruntime's type, such as tensor(float)."""
    types = {
        "tensor(bool)": "bool",
        "tensor(double)": "float64",
        "tensor(float)": "float32",
        "tensor(float16)": "float16",
    }
    return x.detach().cpu().numpy().astype(types.get(kind, kind[7:-1]))


def foreign(*operands: Tensor, output: int) -> Tensor:
    """Output number `output` of the model in the last operand, whose inputs are the others."""
    *inputs, model = operands
    session = foreign_session(model.cpu().numpy().tobytes())
    feeds = {given.name: foreign_value(x, given.type) for given, x in zip(session.get_inputs(), inputs, strict=True)}
    result = torch.from_numpy(session.run([session.get_outputs()[output].name], feeds)[0])
    if result.is_floating_point():
        result = result.to(next((x.dtype for x in inputs if x.is_floating_point()), torch.float32))
    return result.to(inputs[0].device) if inputs else result


def analog_tail(
    model: Tensor, values: Mapping[str, Tensor], places: Mapping[str, tuple[int, int]]
) -> list[dict[str, Tensor]]:
    """Every output of a model for each sample. places: of an input, the axis of the samples and the rows of each; 0
    rows: the samples are stacked on that axis; an input without a place is shared by all."""
    session = foreign_session(model.cpu().numpy().tobytes())
    names = [output.name for output in session.get_outputs()]
    count = min((values[name].shape[axis] // max(rows, 1) for name, (axis, rows) in places.items()), default=1)
    results = []
    for sample in range(count):
        feeds = {}
        for given in session.get_inputs():
            x = values[given.name]
            if given.name in places:
                axis, rows = places[given.name]
                x = x.narrow(axis, sample * rows, rows) if rows else x.select(axis, sample)
            feeds[given.name] = foreign_value(x.reshape(given.shape), given.type)
        found = session.run(names, feeds)
        results.append({name: torch.as_tensor(y) for name, y in zip(names, found, strict=True)})
    return results
