# SPDX-License-Identifier: Apache-2.0
"""From a torch module to ONNX, with torch's own exporter."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from snncc.errors import UnreadableModel
from snncc.frontend.files.pt2 import EXPORT, exported_program
from snncc.names import safe_name


def export(module: torch.nn.Module, example_input: Any) -> onnx.ModelProto:
    """The ONNX form of a module in evaluation mode, axis 0 of every input free.

    Raises UnreadableModel with the exporter's reason when it fails. The module's training mode is restored.
    """
    inputs = tuple(example_input) if isinstance(example_input, (tuple, list)) else (example_input,)
    names = ["input"] if len(inputs) == 1 else [f"input{i}" for i in range(len(inputs))]
    training, fused = module.training, torch.backends.mha.get_fastpath_enabled()
    buffer = io.BytesIO()
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention has no ONNX form
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                module,
                inputs,
                buffer,  # type: ignore[arg-type]  # the exporter takes a stream as well
                input_names=names,
                dynamic_axes={name: {0: "N"} for name in names},
                opset_version=17,
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.OnnxExporterError) as error:
        raise UnreadableModel(
            f"torch cannot export this module to ONNX: {str(error).splitlines()[0]}",
            cure="export it with torch.onnx.export yourself and convert the file",
        ) from error
    finally:
        module.train(training)
        torch.backends.mha.set_fastpath_enabled(fused)
    return onnx.load_from_string(buffer.getvalue())


def from_pt2(path: Path) -> onnx.ModelProto:
    """The ONNX form of an exported program (`torch.export.save`).

    Nothing in the file can run code: see `frontend.files.pt2`. Raises UnreadableModel.
    """
    archive = exported_program(path)
    levels = {name: logging.getLogger(name).level for name in ("torch.export", "torch._export", "torch.onnx")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.load(archive)
            made = torch.onnx.export(program, (), dynamo=True, verbose=False, external_data=False)
        model = made.model_proto if isinstance(made, torch.onnx.ONNXProgram) else None
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # torch fails in many ways on a program that is not sound
        reason = safe_name((str(error).splitlines() or [type(error).__name__])[0])
        raise UnreadableModel(f"torch cannot export this program to ONNX: {reason}", cure=EXPORT) from error
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    if model is None:
        raise UnreadableModel("torch made no ONNX model of this program", cure=EXPORT)
    model.graph.doc_string = ""
    return model
