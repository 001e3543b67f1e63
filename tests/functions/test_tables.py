# SPDX-License-Identifier: Apache-2.0
"""Every function that a node can name lies in the table of each language, under its name."""

from __future__ import annotations

import inspect
import re

from snncc.functions.numpy.table import FUNCTIONS as NUMPY
from snncc.functions.onnx.table import FUNCTIONS as ONNX
from snncc.functions.torch.table import FUNCTIONS as TORCH
from snncc.functions.torch.table import MODULES
from snncc.ir import function_nodes, linear_nodes
from snncc.ir.nodes import Reduce
from snncc.ir.operators import OPERATORS


def named() -> set[str]:
    """The functions of nodes with a class of their own, and those that `Operator` names."""
    texts = [inspect.getsource(module) for module in (linear_nodes, function_nodes)]
    own = {name for text in texts for name in re.findall(r'Call\(function="(\w+)"', text)}
    means = [
        Reduce(name="r", inputs=("x",), shape=(), batch=None, op=op, axes=(), keepdims=False) for op in ("mean", "sum")
    ]
    return own | {node.call().function for node in means} | set(OPERATORS)


def test_torch_and_onnx_have_every_function() -> None:
    assert len(named()) > 100
    assert TORCH.keys() == named()
    assert ONNX.keys() == named()


def test_numpy_has_only_functions_that_nodes_name() -> None:
    assert NUMPY.keys() < named()


def test_functions_of_torch_are_defined_where_the_emitted_module_takes_their_source() -> None:
    assert {f.__module__ for f in TORCH.values()} <= {module.__name__ for module in MODULES}
    assert all(f.__name__ == name for name, f in TORCH.items())
