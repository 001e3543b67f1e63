# SPDX-License-Identifier: Apache-2.0
"""ONNX's own tests of operators and small models, for every operator that snncc claims."""

from __future__ import annotations

import re
import unittest
import warnings

import pytest
from backend import SnnccBackend

#: What is claimed and yet not run: pattern of the test's name -> reason.
SKIPPED: dict[str, str] = {}

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
