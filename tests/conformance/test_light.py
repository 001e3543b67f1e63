# SPDX-License-Identifier: Apache-2.0
"""The networks of the ONNX model zoo with made-up weights that the onnx package ships, with the outputs it expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import numpy_helper
from onnx.backend.test import BackendTest

from snncc.execute.torch.engine import Engine
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lower
from snncc.ir.nodes import Foreign

MODELS = sorted((Path(onnx.backend.test.__file__).parent / "data" / "light").glob("*.onnx"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_network(path: Path) -> None:
    model = onnx.load(path)
    lowered = lower(normalize(samples_first(model)))
    assert lowered.network is not None, lowered.problems
    assert lowered.one_at_a_time is None
    assert not any(isinstance(node, Foreign) for node in lowered.network.nodes)
    constants = {tensor.name for tensor in model.graph.initializer}
    (info,) = [info for info in model.graph.input if info.name not in constants]
    x = BackendTest.generate_dummy_data(info, seed=0, name=path.stem, random=False)
    want = numpy_helper.to_array(onnx.load_tensor(str(path.with_name(f"{path.stem}_output_0.pb"))))
    found = Engine(lowered.network).evaluate({info.name: x})[lowered.network.outputs[0]]
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-3, atol=1e-7)
