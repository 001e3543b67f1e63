# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from three_ways import draw, model, same_three_ways, single

from snncc.ir.nodes import Operator

N, HEADS, LENGTH, SIZE = 3, 4, 5, 6


def attention(
    *,
    kv_heads: int = HEADS,
    keys: int = LENGTH,
    value_size: int = SIZE,
    extra: dict[str, np.ndarray] | None = None,
    extra_inputs: dict[str, tuple[list[int | str], int]] | None = None,
    flat: bool = False,
    outputs: list[str] | None = None,
    opset: int = 24,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of one Attention node and the feeds for three samples."""
    q, k, v = (HEADS, LENGTH, SIZE), (kv_heads, keys, SIZE), (kv_heads, keys, value_size)
    if flat:
        q, k, v = [(s[1], s[0] * s[2]) for s in (q, k, v)]  # type: ignore[assignment]
        attributes |= {"q_num_heads": HEADS, "kv_num_heads": kv_heads}
    inputs: dict[str, list[int | str]] = {n: ["N", *s] for n, s in zip("QKV", (q, k, v), strict=True)}
    feeds = {n: draw(N, *s) for n, s in zip("QKV", (q, k, v), strict=True)}
    extra, extra_inputs = extra or {}, extra_inputs or {}
    inputs |= {n: s for n, (s, _) in extra_inputs.items()}
    known = ["Q", "K", "V", "mask", "past_k", "past_v", "lens"]
    order = [n if n in inputs or n in extra else "" for n in known]
    while not order[-1]:
        order.pop()
    types = {n: t for n, (_, t) in extra_inputs.items()}
    source = single("Attention", inputs, extra, outputs or ["Y"], order, opset=opset, types=types, **attributes)
    return source, feeds


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("opset", [23, 24])
def test_plain(flat: bool, opset: int) -> None:
    same_three_ways(*attention(flat=flat, opset=opset))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_grouped_heads(kv_heads: int, flat: bool) -> None:
    same_three_ways(*attention(kv_heads=kv_heads, flat=flat, keys=7, value_size=3))


def test_scale_and_causal() -> None:
    same_three_ways(*attention(scale=0.3, is_causal=1))
    same_three_ways(*attention(softcap=0.5, is_causal=1))


@pytest.mark.parametrize("shape", [(LENGTH, 7), (1, HEADS, LENGTH, 7), (HEADS, LENGTH, 7)])
def test_constant_masks(shape: tuple[int, ...]) -> None:
    boolean = np.random.default_rng(0).random(shape) < 0.7
    boolean[..., 0] = True
    same_three_ways(*attention(keys=7, extra={"mask": boolean}))
    same_three_ways(*attention(keys=7, extra={"mask": draw(*shape)}))
    same_three_ways(*attention(keys=7, extra={"mask": draw(*shape)}, is_causal=1))


def test_mask_that_is_an_input() -> None:
    shape: list[int | str] = ["N", 1, LENGTH, LENGTH]
    source, feeds = attention(extra_inputs={"mask": (shape, TensorProto.BOOL)})
    mask = np.random.default_rng(1).random((N, 1, LENGTH, LENGTH)) < 0.6
    mask[..., 0] = True
    same_three_ways(source, feeds | {"mask": mask})
    source, feeds = attention(extra_inputs={"mask": (shape, TensorProto.FLOAT)})
    same_three_ways(source, feeds | {"mask": draw(N, 1, LENGTH, LENGTH)})


def test_cache_of_earlier_keys_and_values() -> None:
    past: list[int | str] = ["N", HEADS, 2, SIZE]
    floats = dict.fromkeys(("past_k", "past_v"), (past, TensorProto.FLOAT))
    source, feeds = attention(extra_inputs=floats, outputs=["Y", "present_k", "present_v"])
    same_three_ways(source, feeds | {n: draw(N, HEADS, 2, SIZE) for n in floats})


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_exposed_scores(mode: int) -> None:
    same_three_ways(
        *attention(outputs=["Y", "", "", "S"], qk_matmul_output_mode=mode, extra={"mask": draw(LENGTH, LENGTH)})
    )


@pytest.mark.parametrize("causal", [0, 1])
def test_lengths_of_padded_keys(causal: int) -> None:
    source, feeds = attention(keys=8, extra_inputs={"lens": (["N"], TensorProto.INT64)}, is_causal=causal)
    same_three_ways(source, feeds | {"lens": np.array([5, 8, 6])}, lens=("N",))


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("partial", [0, 4])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("ids", ["none", "constant", "input"])
def test_rotary_embedding(ids: str, flat: bool, partial: int, interleaved: int) -> None:
    size = 8
    half = (partial or size) // 2
    shape = (LENGTH, HEADS * size) if flat else (HEADS, LENGTH, size)
    inputs: dict[str, list[int | str]] = {"X": ["N", *shape]}
    rows = (1, LENGTH) if ids == "none" else (16,)
    angles = draw(*rows, half)
    constants = {"cos": np.cos(angles), "sin": np.sin(angles)}
    feeds = {"X": draw(N, *shape)}
    order = ["X", "cos", "sin"] + ([] if ids == "none" else ["ids"])
    if ids == "constant":
        constants["ids"] = np.arange(LENGTH)[None]
    if ids == "input":
        inputs["ids"] = ["N", LENGTH]
        feeds["ids"] = np.random.default_rng(3).integers(0, 16, (N, LENGTH))
    attributes = {"interleaved": interleaved, "rotary_embedding_dim": partial}
    if flat or partial:
        attributes["num_heads"] = HEADS
    source = single(
        "RotaryEmbedding", inputs, constants, ["Y"], order, opset=23, types={"ids": TensorProto.INT64}, **attributes
    )
    if ids == "input":
        same_three_ways(source, feeds)
    else:  # onnxruntime wants as many rows of positions as samples
        same_three_ways(source, {"X": feeds["X"][:1]})


@pytest.mark.parametrize("merged", [False, True])
def test_exported_attention(merged: bool) -> None:
    """A block as exporters write it; `merged` folds the samples into the heads."""
    width = HEADS * SIZE
    nodes, constants = [], {}
    for n in "qkv":
        constants |= {f"w{n}": draw(width, width) / 4, f"b{n}": draw(width)}
        nodes += [
            helper.make_node("MatMul", ["x", f"w{n}"], [f"{n}0"]),
            helper.make_node("Add", [f"{n}0", f"b{n}"], [f"{n}1"]),
            helper.make_node("Reshape", [f"{n}1", "split"], [f"{n}2"]),
            helper.make_node("Transpose", [f"{n}2"], [f"{n}3"], perm=[0, 2, 1, 3]),
        ]
        if merged:
            nodes.append(helper.make_node("Reshape", [f"{n}3", "merge"], [f"{n}4"]))
    constants |= {
        "split": np.array([-1, LENGTH, HEADS, SIZE]),
        "merge": np.array([-1, LENGTH, SIZE]),
        "unmerge": np.array([-1, HEADS, LENGTH, SIZE]),
        "join": np.array([-1, LENGTH, width]),
        "scale": np.float32(0.4),
    }
    last, rank = ("4", 3) if merged else ("3", 4)
    turned = [0, 2, 1] if merged else [0, 1, 3, 2]
    nodes += [
        helper.make_node("Transpose", [f"k{last}"], ["kt"], perm=turned),
        helper.make_node("MatMul", [f"q{last}", "kt"], ["s0"]),
        helper.make_node("Mul", ["s0", "scale"], ["s1"]),
        helper.make_node("Softmax", ["s1"], ["s2"], axis=rank - 1),
        helper.make_node("MatMul", ["s2", f"v{last}"], ["o0"]),
    ]
    if merged:
        nodes.append(helper.make_node("Reshape", ["o0", "unmerge"], ["o1"]))
    nodes += [
        helper.make_node("Transpose", ["o1" if merged else "o0"], ["o2"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["o2", "join"], ["y"]),
    ]
    network = same_three_ways(
        model(nodes, {"x": ["N", LENGTH, width]}, constants, ["y"]), {"x": draw(N, LENGTH, width)}
    )
    assert [n.op for n in network.nodes if isinstance(n, Operator)] == ["matmul", "softmax", "matmul"]
