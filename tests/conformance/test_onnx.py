# SPDX-License-Identifier: Apache-2.0
"""ONNX's own tests of operators and small models, for every operator that snncc claims."""

from __future__ import annotations

import re
import unittest
import warnings

import pytest
from backend import SnnccBackend

#: What is claimed and yet not run: pattern of the test's name -> reason.
SKIPPED: dict[str, str] = {
    r"FLOAT8|FLOAT4|e8m0|float4e2m1|e4m3|e5m2": "floats of fewer than 16 bits are refused",
    r"cast.*_to_U?INT[24]": "integers of fewer than 8 bits are refused outside QuantizeLinear and DequantizeLinear",
    r"batchnorm_.*_training_mode": "training is refused: its result depends on the other samples",
    r"training_dropout(_default)?(_mask)?_cpu": "training is refused: its result is random",
    r"maxpool_with_argmax": "the indices of MaxPool are left to onnxruntime",
    r"maxunpool_export_with_output_shape": "onnxruntime, the truth of snncc, places the entries in output_shape",
    r"dynamicquantizelinear(_expanded)?_cpu": "a tie that float64, the type of the reference, rounds the other way",
    r"reduce_(log_sum_exp|max|min)_empty_set": "arrays without entries",
    r"resize_downsample_scales_(cubic|linear)_align_corners_cpu": "the truth of snncc, onnxruntime, differs",
    r"affine_grid_.*_expanded": "the library does not fold a Split of a constant shape, so that shapes stay open",
    r"scan_sum": "Scan of opset 8 has a batch axis of its own; it is left to onnxruntime",
    r"PReLU_.d_multiparam|operator_pow": "opset 6: lowerings know 7 and later",
}

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test import BackendTest

    suite = BackendTest(SnnccBackend, __name__)

for group, cases in suite.test_cases.items():
    if group == "OnnxBackendRealModelTest":  # their files have to be downloaded
        continue
    for name in [n for n in vars(cases) if n.startswith("test_")]:
        reason = next((why for pattern, why in SKIPPED.items() if re.search(pattern, name)), None)
        if name.endswith("_cuda"):
            delattr(cases, name)
        elif reason is not None:
            setattr(cases, name, unittest.skip(reason)(getattr(cases, name)))
    globals()[group] = cases

pytestmark = pytest.mark.filterwarnings("ignore")
