# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes that neither executor defines: both ask onnxruntime, which is the definition."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
SESSIONS: dict[bytes, Any] = {}
TYPES = {"bool": "bool", "double": "float64", "float": "float32"}


def foreign(*operands: Array, output: int) -> Array:
    """Output number `output` of the model in the last operand, whose inputs are the others."""
    *inputs, model = operands
    key = model.tobytes()
    if key not in SESSIONS:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        SESSIONS[key] = ort.InferenceSession(key, options, providers=["CPUExecutionProvider"])
    session = SESSIONS[key]
    kinds = [i.type.removeprefix("tensor(").removesuffix(")") for i in session.get_inputs()]
    names = [i.name for i in session.get_inputs()]
    feeds = {n: np.asarray(x).astype(TYPES.get(k, k)) for n, k, x in zip(names, kinds, inputs, strict=True)}
    (result,) = session.run([session.get_outputs()[output].name], feeds)
    floats = [x.dtype for x in inputs if np.issubdtype(x.dtype, np.floating)]
    return np.asarray(result).astype(floats[0] if floats and np.issubdtype(result.dtype, np.floating) else result.dtype)
