# SPDX-License-Identifier: Apache-2.0
"""Lowering of Attention and RotaryEmbedding to products, scales and one softmax, so that products run on events."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snncc.frontend.operators.builder import Builder, Lowering, MixesSamples, Operand, Unsupported, broadcast_shape
from snncc.frontend.operators.linear import matrix_product
from snncc.frontend.operators.shape import concat, take
from snncc.ir.network import Array
from snncc.ir.nodes import Node


def value_named(g: Builder, name: str, shape: Sequence[int], dtype: str = "float32") -> None:
    """Make another value the one being lowered."""
    g.out, g.shape, g.dtype = name, tuple(shape), dtype


def with_heads(g: Builder, x: Node, heads: int | None, name: str) -> Node:
    """(N, S, heads x size) as (N, heads, S, size); with four axes as it is."""
    if x.batch not in (None, 0):
        raise MixesSamples("the samples do not lie on its first axis")
    if len(x.shape) == 4:
        return x
    if heads is None:
        raise Unsupported("the number of heads is absent", cure="check the file with onnx.checker")
    n, length, width = x.shape
    split = g.reshape(x, (n, length, heads, width // heads), name=g.fresh(f"{name}_heads"), batch=x.batch)
    return g.transpose(split, (0, 2, 1, 3), name=g.fresh(f"{name}_by_head"))


def grouped(g: Builder, x: Node, groups: int, name: str) -> Node:
    """(N, heads, S, size) as (N, groups, heads / groups, S, size)."""
    n, heads, *rest = x.shape
    return g.reshape(x, (n, groups, heads // groups, *rest), name=g.fresh(name), batch=x.batch)


def product(g: Builder, a: Node, b: Node, groups: int, name: str) -> Node:
    """The matrix product per head; every key and value head serves heads / groups query heads."""
    n, heads, rows, columns = max(a.shape[0], b.shape[0]), a.shape[1], a.shape[2], b.shape[3]
    if groups == heads:
        return matrix_product(g, a, b, name=name, shape=(n, heads, rows, columns))
    left, right = grouped(g, a, groups, "left"), grouped(g, b, groups, "right")
    shape = (n, groups, heads // groups, rows, columns)
    y = matrix_product(g, left, right, name=g.fresh("grouped"), shape=shape)
    return g.reshape(y, (n, heads, rows, columns), name=name, batch=y.batch)


def position_bias(queries: int, keys: int, offset: int, causal: bool, left: int, right: int) -> Array | None:
    """0 where query i may see key j, -inf elsewhere: j <= i + offset, and the window around i + offset."""
    if not causal and left < 0 and right < 0:
        return None
    ahead = np.arange(keys)[None, :] - np.arange(queries)[:, None] - offset
    seen = np.ones_like(ahead, bool)
    for applies, rule in ((causal, ahead <= 0), (left >= 0, -ahead <= left), (right >= 0, ahead <= right)):
        seen &= rule | (not applies)
    return np.where(seen, 0, -np.inf).astype(np.float32)


def attention_bias(
    g: Builder, mask: Operand, lengths: Operand, queries: int, keys: int, past: int, causal: bool, left: int, right: int
) -> Node | None:
    """Everything that is added to the scores, or None: the mask, the order of positions, the padding."""
    terms: list[Node] = []
    if isinstance(mask, np.ndarray):
        bias = np.where(mask, 0, -np.inf) if mask.dtype == np.bool_ else mask
        missing = [(0, 0)] * (bias.ndim - 1) + [(0, max(0, keys - bias.shape[-1]))]
        terms.append(g.node(np.pad(bias, missing, constant_values=-np.inf).astype(np.float32), "mask"))
    elif isinstance(mask, Node):
        if mask.shape[-1] < keys:
            raise Unsupported("its mask is shorter than the keys", cure="pad the mask to the length of the keys")
        if mask.dtype == "bool":
            mask = g.operator(
                "mask_bias", mask, batch=mask.batch, name=g.fresh("mask"), shape=mask.shape, dtype="float32"
            )
        terms.append(mask)
    if lengths is not None:
        given = g.node(lengths, "lengths")
        shape = (*given.shape, 1, queries, keys)
        options = {"queries": queries, "keys": keys, "causal": causal, "left": left, "right": right}
        name = g.fresh("padding")
        terms.append(
            g.operator("length_bias", given, batch=given.batch, shape=shape, name=name, dtype="float32", **options)
        )
    elif (order := position_bias(queries, keys, past, causal, left, right)) is not None:
        terms.append(g.node(order, "positions"))
    if len(terms) < 2:
        return terms[0] if terms else None
    value_named(g, g.fresh("bias"), broadcast_shape(*[x.shape for x in terms]))
    return g.sum(terms, (1.0,) * len(terms))


def attention(
    g: Builder,
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand = None,
    past_key: Operand = None,
    past_value: Operand = None,
    nonpad_kv_seqlen: Operand = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> list[Node | None]:
    """softmax(scale Q K^T + bias) V per head; a query that may see nothing gives 0."""
    outputs = [name for name, _, _ in g.results] + [""] * (4 - len(g.results))
    name = g.out = outputs[0] or g.out
    inputs = [g.node(x, n) for x, n in ((query, "query"), (key, "key"), (value, "value"))]
    q = with_heads(g, inputs[0], q_num_heads, "query")
    k, v = with_heads(g, inputs[1], kv_num_heads, "key"), with_heads(g, inputs[2], kv_num_heads, "value")
    before = k.shape[2]
    k, present_key = with_past(g, k, past_key, outputs[1], f"{name}.present1")
    v, present_value = with_past(g, v, past_value, outputs[2], f"{name}.present2")
    value_named(g, name, q.shape)
    heads, queries, keys, groups = q.shape[1], q.shape[2], k.shape[2], k.shape[1]
    window = (bool(is_causal), left_window_size, right_window_size)
    bias = attention_bias(g, attn_mask, nonpad_kv_seqlen, queries, keys, keys - before, *window)
    value_named(g, name, q.shape)
    scores = product(g, q, g.transpose(k, (0, 1, 3, 2), name=g.fresh("keys")), groups, g.fresh("products"))
    factor = np.float32(1 / math.sqrt(q.shape[3]) if scale is None else scale)
    value_named(g, g.fresh("scores"), scores.shape)
    scores = capped(g, g.affine(scores, np.asarray(factor), None), softcap, name)
    shown = scores
    if outputs[3] and qk_matmul_output_mode == 2 and bias is not None:
        value_named(g, g.fresh("masked"), scores.shape)
        shown = g.sum([scores, bias], (1.0, 1.0))
    value_named(g, g.fresh("weights"), scores.shape)
    weights = softmax_of(g, scores, bias)
    results: list[Node | None] = [None, present_key, present_value, None]
    if outputs[3]:
        stage = weights if qk_matmul_output_mode == 3 else shown
        results[3] = g.reshape(stage, stage.shape, name=outputs[3], batch=stage.batch)
    if not outputs[0]:
        return results
    flat = len(inputs[0].shape) == 3
    value_named(g, name, g.results[0][1])
    out = product(g, weights, v, groups, g.fresh("by_head") if flat else name)
    if flat:
        out = g.transpose(out, (0, 2, 1, 3), name=g.fresh("by_position"))
        out = g.reshape(out, (out.shape[0], queries, heads * v.shape[3]), name=name, batch=out.batch)
    results[0] = out
    return results


def with_past(g: Builder, now: Node, past: Operand, output: str, name: str) -> tuple[Node, Node | None]:
    """Keys or values behind those of earlier calls, and what the node's `output`, if it has one, hands on."""
    if past is None:
        return now, g.reshape(now, now.shape, name=output, batch=now.batch) if output else None
    old = g.node(past, "past")
    value_named(g, output or name, (*now.shape[:2], old.shape[2] + now.shape[2], now.shape[3]))
    both = concat(g, old, now, axis=2)
    return both, both


def capped(g: Builder, scores: Node, softcap: float, name: str) -> Node:
    """softcap tanh(scores / softcap); without a cap the scores."""
    for op, c in (("scale", 1 / softcap), ("tanh", 0.0), ("scale", softcap)) if softcap > 0 else ():
        value_named(g, f"{name}.cap", scores.shape)
        g.out = g.fresh(op)
        scores = g.elementwise("tanh", scores) if op == "tanh" else g.affine(scores, np.full(1, c, np.float32), None)
    return scores


def softmax_of(g: Builder, scores: Node, bias: Node | None) -> Node:
    """The softmax over the keys, with what is added to the scores."""
    if bias is None:
        return g.operator("softmax", scores, batch=scores.batch, axes=(3,))
    both, batch = g.aligned([scores, bias], scores.shape)
    return g.operator("masked_softmax", *both, batch=batch)


def cache(
    g: Builder, operand: Operand, ids: Operand, index: Array, sign: Array | None, axis: int, name: str
) -> Operand:
    """Cosines or sines for each position and feature, shaped to multiply the heads."""
    if isinstance(operand, np.ndarray) and not isinstance(ids, Node):
        table = operand if ids is None else operand[ids]
        table = table[..., index] * (1 if sign is None else sign)
        return np.expand_dims(table, axis).astype(np.float32)
    if isinstance(operand, np.ndarray):
        rows = g.node(operand[..., index] * (1 if sign is None else sign), name)
        at = g.node(ids, "positions")
        shape = (*at.shape, len(index))
        x: Node = g.operator("gather", rows, at, batch=at.batch, shape=shape, name=g.fresh(f"{name}_at"), axis=0)
    else:
        if ids is not None:
            raise Unsupported("its tables are computed at run time", cure="export with constant tables")
        x = g.node(operand)
        shape = (*x.shape[:-1], len(index))
        at = g.node(index, "index")
        x = g.operator("gather", x, at, batch=x.batch, shape=shape, name=g.fresh(f"{name}_at"), axis=len(shape) - 1)
        if sign is not None:
            value_named(g, g.fresh(f"{name}_signed"), shape)
            x = g.affine(x, sign.astype(np.float32), None)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return g.reshape(x, shape, name=g.fresh(f"{name}_of_heads"), batch=x.batch)


def pairs(size: int, interleaved: bool) -> tuple[Array, Array, Array]:
    """Of each feature: its pair, whether it is the first of it, and the other one: neighbours or halves."""
    features, apart = np.arange(size), 1 if interleaved else size // 2
    index = features // 2 if interleaved else features % apart
    first = features % 2 == 0 if interleaved else features < apart
    return index, first, features + np.where(first, apart, -apart)


def rotary_embedding(
    g: Builder,
    x: Operand,
    cos_cache: Operand,
    sin_cache: Operand,
    position_ids: Operand = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Node:
    """y = cos x + sin x', where x' exchanges the halves (or neighbours) of each head's features and negates one."""
    final, shape = g.out, g.shape
    y = g.node(x)
    if y.batch not in (None, 0):
        raise MixesSamples("the samples do not lie on its first axis")
    axis = 1 if len(y.shape) == 4 else 2
    if axis == 2:
        split = (*y.shape[:2], num_heads, y.shape[2] // num_heads)
        y = g.reshape(y, split, name=g.fresh("heads"), batch=y.batch)
    size = rotary_embedding_dim or y.shape[3]
    rest = take(g, y, 3, size, 1, y.shape[3] - size, g.fresh("kept")) if size < y.shape[3] else None
    y = take(g, y, 3, 0, 1, size, g.fresh("turned")) if rest is not None else y
    index, first, partner = pairs(size, bool(interleaved))
    cos = cache(g, cos_cache, position_ids, index, None, axis, "cos")
    sin = cache(g, sin_cache, position_ids, index, np.where(first, -1, 1), axis, "sin")
    other = g.operator(
        "gather", y, g.node(partner, "partner"), batch=y.batch, shape=y.shape, name=g.fresh("exchanged"), axis=3
    )
    parts: list[Node] = []
    for source, table, name in ((y, cos, "cosine"), (other, sin, "sine")):
        value_named(g, g.fresh(name), y.shape)
        if isinstance(table, np.ndarray):
            parts.append(g.affine(source, table, None))
        else:
            parts.append(g.elementwise("multiply", source, table))
    whole = rest is None and axis == 1
    value_named(g, final if whole else g.fresh("rotated"), y.shape)
    y = g.sum(parts, (1.0, 1.0))
    if rest is not None:
        value_named(g, final if axis == 1 else g.fresh("joined"), (*y.shape[:3], size + rest.shape[3]))
        y = concat(g, y, rest, axis=3)
    return g.reshape(y, shape, name=final, batch=y.batch) if axis == 2 else y


LOWERINGS: dict[str, Lowering] = {"Attention": attention, "RotaryEmbedding": rotary_embedding}
