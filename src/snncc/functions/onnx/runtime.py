# SPDX-License-Identifier: Apache-2.0
"""onnxruntime on the CPU: its sessions and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as _state

Array: TypeAlias = npt.NDArray[Any]

# onnxruntime's exceptions have no common base below Exception; plain ones of Python escape from it too.
ORT_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    TypeError,
    ValueError,
    *(kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
_FATAL = 4  # onnxruntime's severity: its errors reach the user as exceptions, not as lines on the terminal
#: onnxruntime's names of types that NumPy calls otherwise.
TYPES = {"double": "float64", "float": "float32"}


def session(
    model: bytes, *, optimized: bool = True, threads: int | None = None, entries: Mapping[str, str] | None = None
) -> ort.InferenceSession:
    """onnxruntime on a serialized model; raises one of ORT_ERRORS.

    `optimized` False: no value is fused with its neighbours, which would change how it rounds. `threads` inside one
    operator, None: onnxruntime's choice. `entries`: further settings by name.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if threads is not None:
        options.intra_op_num_threads = threads
    for name, value in (entries or {}).items():
        options.add_session_config_entry(name, value)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


#: The session of a model that a network carries.
carried = lru_cache(maxsize=256)(session)


def foreign(*operands: Array, output: int) -> Array:
    """Output number `output` of the model in the last operand, whose inputs are the others."""
    *inputs, model = operands
    ready = carried(model.tobytes())
    kinds = [i.type.removeprefix("tensor(").removesuffix(")") for i in ready.get_inputs()]
    names = [i.name for i in ready.get_inputs()]
    feeds = {n: np.asarray(x).astype(TYPES.get(k, k)) for n, k, x in zip(names, kinds, inputs, strict=True)}
    (result,) = ready.run([ready.get_outputs()[output].name], feeds)
    floats = [x.dtype for x in inputs if np.issubdtype(x.dtype, np.floating)]
    return np.asarray(result).astype(floats[0] if floats and np.issubdtype(result.dtype, np.floating) else result.dtype)
