# SPDX-License-Identifier: Apache-2.0
"""The Triton kernel is bit for bit the scans of torch: in Triton's interpreter, and on a GPU where there is one."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from scans import CASES, DTYPES, compare

pytest.importorskip("triton")
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.interpreter import InterpretedFunction

from snncc.execute.torch import fused_scan, triton_scan
from snncc.functions.compiled import CompileError
from snncc.ir.nodes import Neuron

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_scan, "kernel", InterpretedFunction(triton_scan.steps_of_neurons))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.usefixtures("interpreted")
def test_bit_for_bit_in_the_interpreter(
    kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(kind, options, dtype, triton_scan.run, monkeypatch)


@GPU
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_bit_for_bit_on_a_gpu(
    kind: type[Neuron], options: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(kind, options, dtype, fused_scan.kernel("cuda", dtype), monkeypatch, device="cuda")


@pytest.mark.parametrize(
    ("kind", "levels", "real"),
    [*((kind, levels, "fp32") for kind in fused_scan.KINDS for levels in (1, 3)), ("early", 3, "fp64")],
)
def test_compiled_for_a_gpu_every_operation_is_rounded_once(
    kind: str, levels: int, real: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
    names = triton_scan.kernel.arg_names
    constants = {"KIND": kind, "LEVELS": levels, "BLOCK": triton_scan.BLOCK}
    numbers = {"entries": "i32", "size": "i32", "stride": "i32", "steps": "i32", "rests": "i32", "cap": "fp32"}
    signature = {name: "constexpr" if name in constants else numbers.get(name, f"*{real}") for name in names}
    source = ASTSource(triton_scan.kernel, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=triton_scan.EXACT)
    operations = set(re.findall(r"\b([a-z]+\.[a-z.]*)f(?:32|64)\b", made.asm["ptx"]))
    assert {name for name in operations if name.startswith(("add", "sub", "mul", "div", "fma", "mad"))} <= {
        "add.rn.",
        "sub.rn.",
        "mul.rn.",
        "div.rn.",
    }
    assert ("div.rn." in operations) == (levels > 1 and kind != "halving")
    assert len(made.asm["cubin"]) > 0


@pytest.mark.usefixtures("interpreted")
def test_what_compiles_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert triton_scan.gpu_scan("cpu", torch.float32) is triton_scan.run


def test_torch_takes_over_where_it_does_not() -> None:
    with pytest.raises(CompileError, match="triton does not work here"):
        triton_scan.gpu_scan("cpu", torch.float32)
