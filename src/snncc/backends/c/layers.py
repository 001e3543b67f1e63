# SPDX-License-Identifier: Apache-2.0
"""Calls of the layers with weights, of neurons and of max pools."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from snncc.backends.c.accumulator import Accumulator
from snncc.backends.c.compilation import Compilation
from snncc.backends.c.layout import EVENTS, Array, Buffer, BufferType, IndexMap, channels_last, smallest, strides
from snncc.backends.c.program import Convolve, Fire, Pool
from snncc.errors import EmitError
from snncc.functions.numpy.linear import convolution
from snncc.functions.numpy.linear import linear as linear_function
from snncc.ir.nodes import Conv, Differential, Linear, MaxPool, Neuron
from snncc.transform.rescale import along_channels

Pair = tuple[int, int]
TOTALS: tuple[BufferType, ...] = ("int16", "int32")
COUNTS: tuple[BufferType, ...] = ("uint8", "uint16", "int32")


def two(values: tuple[int, ...], fill: int) -> Pair:
    """Extents along rows and columns; a 1-D layer has one row."""
    return (fill, values[0]) if len(values) == 1 else (values[0], values[1])


def image(index: IndexMap) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """(channels, height, width) and the strides of an index map (1, channels, *space) that is a whole buffer."""
    shape = index.where.shape
    if not index.whole or shape[0] != 1 or not 3 <= len(shape) <= 4:
        return None
    where = index.where.reshape(shape[1], *two(shape[2:], 1))
    found = strides(where)
    if found is None or min(found) < 0:
        return None
    channels, rows, columns = (max(1, s) for s in found)
    return (where.shape[0], where.shape[1], where.shape[2]), (channels, rows, columns)


def dense(array: Array) -> Array:
    """Weights or bounds as float64: products and sums of such integers are exact."""
    return array.astype(np.float64)


Product = Callable[[Array, Array], Array]


def without_constants(
    compiler: Compilation, to: Accumulator, node: Conv | Linear, factor: int, product: Product
) -> IndexMap:
    """What a node reads without its constant part, whose product with the weights goes to the biases."""
    arrays, index = compiler.network.arrays, compiler.maps[node.inputs[0]]
    if node.bias is not None:
        axis = node.axis % len(node.shape) if isinstance(node, Linear) else 1
        bias = factor * along_channels(dense(arrays[node.bias]), len(node.shape), axis)
        to.add_bias(to.where, np.broadcast_to(bias, node.shape))
    if index.constant is None:
        return index
    to.add_bias(to.where, product(index.constant, arrays[node.weight]))
    return IndexMap(buffer=index.buffer, where=index.where, constant=None, low=index.low, high=index.high)


def widen(to: Accumulator, index: IndexMap, weight: Array, product: Product) -> None:
    """Let the accumulator hold what the events of an index map can add to it, partial sums included."""
    low, high = np.minimum(index.low, 0), np.maximum(index.high, 0)
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    ends = product(low, plus) + product(high, minus), product(high, plus) + product(low, minus)
    to.widen(to.where, np.minimum(*ends), np.maximum(*ends))


def add_convolution(compiler: Compilation, to: Accumulator, node: Conv, factor: int) -> None:
    """factor * (weight * x + bias), from the events of x."""
    weight = compiler.network.arrays[node.weight]
    kernel = weight.shape[2:]
    if len(kernel) > 2:
        raise EmitError(f"{node.name} is a convolution over {len(kernel)} axes", cure="the C runtime has one and two")
    if node.shape[0] != 1:
        raise EmitError(
            f"{node.name} has {node.shape[0]} images a sample", cure="export a model with one image a sample"
        )
    options = {"stride": node.stride, "padding": node.padding, "dilation": node.dilation, "groups": node.groups}

    def convolved(x: Array, w: Array) -> Array:
        return factor * convolution(x, dense(w), None, **options)  # type: ignore[arg-type]

    index = without_constants(compiler, to, node, factor, convolved)
    if index.buffer is None:
        return
    found = image(index)
    if found is None:
        index = compiler.copied(node, node.inputs[0], index)
        found = image(index)
    if found is None or index.buffer is None:
        raise TypeError(f"{node.name}: a copy is always an image")
    widen(to, index, weight, convolved)
    # (out, in, y, x) with groups -> (group, in, y, x, out)
    grouped = weight.reshape(node.groups, weight.shape[0] // node.groups, weight.shape[1], *two(kernel, 1))
    to.calls.append(
        Convolve(
            node=node.name,
            when=to.when(index.buffer),
            target=to.draft,
            sources=(index.buffer,),
            image=found[0],
            strides=found[1],
            out=(node.shape[1], *two(node.shape[2:], 1)),
            groups=node.groups,
            kernel=two(kernel, 1),
            stride=two(node.stride, 1),
            begin=two(node.padding[: len(kernel)], 0),
            dilation=two(node.dilation, 1),
            weights=compiler.blob.weights(np.moveaxis(grouped, 1, -1)),
            sign=factor,
        )
    )


def add_linear(compiler: Compilation, to: Accumulator, node: Linear, factor: int) -> None:
    """factor * (weight x + bias): a convolution of one pixel, or of a row of them where x has several vectors."""
    weight = compiler.network.arrays[node.weight]
    inputs, outputs = weight.shape[1], weight.shape[0]

    def product(x: Array, w: Array) -> Array:
        return factor * linear_function(x, dense(w), None, axis=node.axis)

    index = without_constants(compiler, to, node, factor, product)
    if index.buffer is None:
        return
    rows = index.where.size // inputs
    taken = index.where[index.where >= 0]
    alone = rows == 1 and np.unique(taken).size == taken.size and index.buffer.size <= 2 * inputs
    regular = index.whole and index_strides(index, node.axis, rows, inputs) is not None
    if not alone and not regular:
        index = compiler.copied(node, node.inputs[0], index, axis=node.axis)
    if index.buffer is None:
        raise TypeError(f"{node.name}: a copy has a buffer")
    widen(to, index, weight, product)
    if alone:  # the columns of the weights in the order of the buffer
        columns = np.zeros((index.buffer.size, outputs), np.int64)
        where = index.where.ravel()
        columns[where[where >= 0]] = weight.T[where >= 0]
        size, step = (index.buffer.size, 1, 1), (1, 1, 1)
    else:
        columns, size = weight.T, (inputs, 1, rows)
        step = index_strides(index, node.axis, rows, inputs) or (1, 1, 1)
    to.calls.append(
        Convolve(
            node=node.name,
            when=to.when(index.buffer),
            target=to.draft,
            sources=(index.buffer,),
            image=size,
            strides=step,
            out=(outputs, 1, size[2]),
            groups=1,
            kernel=(1, 1),
            stride=(1, 1),
            begin=(0, 0),
            dilation=(1, 1),
            weights=compiler.blob.weights(columns),
            sign=factor,
        )
    )


def index_strides(index: IndexMap, axis: int, rows: int, inputs: int) -> tuple[int, int, int] | None:
    """The strides (entry of a vector, 1, vector) of vectors that lie along an axis; None where they are irregular."""
    found = strides(np.moveaxis(index.where, axis, -1).reshape(rows, inputs))
    if found is None or min(found) < 0:
        return None
    return max(1, found[1]), 1, max(1, found[0])


def neuron(compiler: Compilation, node: Neuron) -> tuple[IndexMap, Fire]:
    """A layer of neurons on the buffer of its current."""
    arrays, number = compiler.network.arrays, compiler.number[node.name]
    if not (arrays[node.amplitude] == 1).all():
        raise EmitError(
            f"{node.name} has spikes of other amplitudes than 1", cure="lower the network to integers first"
        )
    current = compiler.maps[node.inputs[0]]
    if not current.whole:
        current = compiler.copied(node, node.inputs[0], current)
    if current.buffer is None:
        raise TypeError(f"{node.name}: a copy has a buffer")
    size, where = current.buffer.size, current.where

    def by_entry(name: str) -> Array:
        flat = np.empty(size, np.int64)
        flat[where.ravel()] = np.broadcast_to(arrays[name], node.shape).ravel()
        return flat

    signed, levels = bool(node.negative), node.at_once
    threshold, v_init = by_entry(node.threshold), by_entry(node.v_init)
    membrane = smallest(*compiler.proved(node.name, "membrane"), TOTALS, node.name)
    count = smallest(*compiler.proved(node.name, "count"), COUNTS, node.name) if signed else None
    events = smallest(-levels if signed else 0, levels, EVENTS, node.name)
    spikes = compiler.keep(Buffer(name=f"spikes_{number}", type=events, size=size, lifetime="step"))
    call = Fire(
        node=node.name,
        target=spikes,
        sources=(current.buffer,),
        threshold=compiler.blob.table(threshold),
        v_init=compiler.blob.table(v_init),
        negative={"": "SNN_POSITIVE", "early": "SNN_EARLY", "signed": "SNN_SIGNED"}[node.negative],
        reset_to_zero=node.reset == "zero",
        levels=levels,
        cap=node.cap,
        membrane=compiler.keep(Buffer(name=f"membrane_{number}", type=membrane, size=size, lifetime="run")),
        count=count and compiler.keep(Buffer(name=f"count_{number}", type=count, size=size, lifetime="run")),
        gated=current.buffer.lifetime == "input",
    )
    least = np.full(where.shape, float(-levels if signed else 0))
    return IndexMap(
        buffer=spikes, where=where, constant=None, low=least, high=np.full(where.shape, float(levels))
    ), call


def max_pool(compiler: Compilation, node: Differential) -> tuple[IndexMap, Pool]:
    """Max pooling of running sums, by events."""
    pool, number = node.function, compiler.number[node.name]
    index = compiler.maps[node.inputs[0]]
    if image(index) is None:
        index = compiler.copied(node, node.inputs[0], index)
    found = image(index)
    if found is None or index.buffer is None or not isinstance(pool, MaxPool) or len(pool.kernel) > 2:
        raise EmitError(f"{node.name} pools over more than two axes", cure="the C runtime has one and two")
    low, high = min(0.0, float(index.low.min())), max(0.0, float(index.high.max()))
    reach = max(-low, high)
    totals = smallest(*compiler.proved(node.name, "sum"), TOTALS, node.name)
    events = smallest(-reach if low else 0, reach, EVENTS, node.name)
    target = compiler.keep(Buffer(name=f"pool_{number}", type=events, size=math.prod(node.shape), lifetime="step"))
    total, last = (
        compiler.keep(Buffer(name=f"{name}_{number}", type=totals, size=size, lifetime="run"))
        for name, size in (("total", index.buffer.size), ("last", target.size))
    )
    call = Pool(
        node=node.name,
        target=target,
        sources=(index.buffer,),
        image=found[0],
        strides=found[1],
        out=two(node.shape[2:], 1),
        kernel=two(pool.kernel, 1),
        stride=two(pool.stride, 1),
        begin=two(pool.padding[: len(pool.kernel)], 0),
        dilation=two(pool.dilation, 1),
        gated=index.buffer.lifetime == "input",
        total=total,
        last=last,
    )
    bounds = np.full(node.shape, -reach if low else 0.0), np.full(node.shape, reach)
    return IndexMap(buffer=target, where=channels_last(node.shape), constant=None, low=bounds[0], high=bounds[1]), call
