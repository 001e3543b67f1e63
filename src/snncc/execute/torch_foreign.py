# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes without a torch counterpart, evaluated by onnxruntime on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def foreign_session(model: bytes) -> Any:
    """A session on a serialized one-node model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def foreign(*operands: Tensor, output: int) -> Tensor:
    """Output number `output` of the model in the last operand, whose inputs are the others."""
    *inputs, model = operands
    session = foreign_session(model.cpu().numpy().tobytes())
    types = {
        "tensor(bool)": "bool",
        "tensor(double)": "float64",
        "tensor(float)": "float32",
        "tensor(float16)": "float16",
    }
    feeds = {}
    for given, x in zip(session.get_inputs(), inputs, strict=True):
        feeds[given.name] = x.detach().cpu().numpy().astype(types.get(given.type, given.type[7:-1]))
    result = torch.from_numpy(session.run([session.get_outputs()[output].name], feeds)[0])
    if result.is_floating_point():
        result = result.to(next((x.dtype for x in inputs if x.is_floating_point()), torch.float32))
    return result.to(inputs[0].device) if inputs else result
