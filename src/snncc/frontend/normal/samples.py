# SPDX-License-Identifier: Apache-2.0
"""Every input with its samples on axis 0: the form of a model that all of snncc works on.

Inputs whose samples lie on another axis, or that have no axis for them, get a Transpose or Squeeze in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir
from onnx import helper
from onnx_ir.passes import common

from snncc.errors import Problem, UnsupportedModel, UsageError
from snncc.names import safe_name

#: A dimension given as this marks the axis that carries the samples.
BATCH_MARK = "N"
#: The name of the free extent that the samples' axis gets.
FREE = "N"
Dims = tuple[int | str, ...]


def samples_first(model: onnx.ModelProto, shapes: Mapping[str, Dims] | None = None) -> onnx.ModelProto:
    """The model, functions inlined, with the samples on axis 0 of each input and every other extent known.

    The samples' axis is the one that `shapes` marks N, else axis 0 where it is free or 1 (and the rank 2 or more),
    else axis 1 likewise where another input has samples; without one, each sample is a whole input. A number beside
    inputs with samples is shared by them.

    Raises UnsupportedModel naming every extent that is left open, UsageError for a `shapes` entry that does not fit.
    """
    source = inlined(model)
    graph, shapes = source.graph, shapes or {}
    infos, found = inputs_of(graph, shapes)
    several = any(axis is not None for _, axis in found.values())
    for name, (dims, axis) in found.items():
        second = several and name not in shapes and dims[1:2] == [1]
        if dims or not several:  # a number is shared by all samples of the other inputs
            put_samples_first(source, infos[name], dims, 1 if axis is None and second else axis)
    # What exporters wrote about later shapes no longer holds.
    del graph.value_info[:]
    for info in graph.output:
        info.type.tensor_type.ClearField("shape")
    return source


Inputs = tuple[dict[str, onnx.ValueInfoProto], dict[str, tuple[list[int], int | None]]]


def inputs_of(graph: onnx.GraphProto, shapes: Mapping[str, Dims]) -> Inputs:
    """The inputs by name, and of each the extents of one sample and the samples' axis."""
    weights = {tensor.name for tensor in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    infos = {info.name: info for info in graph.input if info.name not in weights}
    if unknown := sorted(set(shapes) - set(infos)):
        raise UsageError(f"--shape: the graph has no input {unknown[0]!r}", cure=f"inputs: {', '.join(infos)}")
    reason, cure = "is the graph's own input: nothing computes it", "export without it"
    idle = [output.name for output in graph.output if output.name in infos]
    problems = [Problem(node=name, operator="output", reason=reason, cure=cure) for name in idle]
    found = {name: resolved(info, shapes.get(name), problems) for name, info in infos.items()}
    if problems:
        raise UnsupportedModel(problems)
    return infos, found


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model without functions."""
    source = onnx.ModelProto()
    source.CopyFrom(model)
    if source.functions:
        inner = ir.from_proto(source)
        common.InlinePass()(inner)
        source = ir.to_proto(inner)
    return source


def resolved(info: onnx.ValueInfoProto, given: Dims | None, problems: list[Problem]) -> tuple[list[int], int | None]:
    """The extents of one sample and the samples' axis of one input; what is open is a problem."""
    name = safe_name(info.name)
    kind = info.type.tensor_type
    shape = [dim.dim_value or dim.dim_param or "?" for dim in kind.shape.dim]
    if not kind.HasField("shape"):
        if given is None:
            problems.append(Problem(node=name, operator="input", reason="has no shape", cure=f"--shape {name}=N,..."))
            return [], None
    elif given is not None and len(given) != len(shape):
        raise UsageError(
            f"--shape {name}: {len(given)} dimensions given, the graph has {len(shape)}",
            cure=f"give all {len(shape)}, for example {name}={','.join(map(str, shape))}",
        )
    axis = samples_axis(shape, given)
    extents = [1 if i == axis else d if isinstance(d, int) else -1 for i, d in enumerate(given or shape)]
    if min(extents, default=1) <= 0:
        problems.append(left_open(name, shape, extents, axis))
    return extents, axis


def left_open(name: str, shape: Sequence[int | str], extents: Sequence[int], axis: int | None) -> Problem:
    """What is wrong with an input of which more than the samples' axis is open."""
    left = [i for i, d in enumerate(extents) if d <= 0]
    example = ",".join("N" if i == axis else str(d) if d > 0 else "SIZE" for i, d in enumerate(extents))
    which = f"{'axes' if len(left) > 1 else 'axis'} {', '.join(map(str, left))}"
    reason = f"{which} of {shown(shape)} is dynamic; only the samples' axis may be"
    return Problem(node=name, operator="input", reason=reason, cure=f"--shape {name}={example}")


def samples_axis(shape: Sequence[int | str], given: Dims | None) -> int | None:
    """The axis marked in what is given; else axis 0 where it is free or 1 beside others, else axis 1 where it is."""
    dims = shape if given is None else given
    if BATCH_MARK in (given or ()):
        return dims.index(BATCH_MARK)
    if not dims:
        return None
    if isinstance(dims[0], str) or isinstance(shape[0], str) or (dims[0] == 1 and len(dims) > 1):
        return 0
    return 1 if given is None and len(dims) > 1 and isinstance(dims[1], str) else None


def shown(shape: Sequence[int | str]) -> str:
    """A shape for messages."""
    return f"[{', '.join(safe_name(str(d)) for d in shape)}]"


def put_samples_first(model: onnx.ModelProto, info: onnx.ValueInfoProto, dims: Sequence[int], axis: int | None) -> None:
    """Give an input a free axis 0, with a Transpose or Squeeze behind it where the graph wants another order."""
    graph, name = model.graph, info.name
    rest = [d for i, d in enumerate(dims) if i != axis]
    kind = info.type.tensor_type
    kind.shape.Clear()
    for extent in [FREE, *rest]:
        dim = kind.shape.dim.add()
        if isinstance(extent, int):
            dim.dim_value = extent
        else:
            dim.dim_param = extent
    if axis == 0:
        return
    inner = f"{name}.of_sample"
    for node in graph.node:
        for i, used in enumerate(node.input):
            if used == name:
                node.input[i] = inner
    if axis is None:
        version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        if version < 13:
            moved = helper.make_node("Squeeze", [name], [inner], name=inner, axes=[0])
        else:
            axes = f"{inner}.axes"
            graph.initializer.append(helper.make_tensor(axes, onnx.TensorProto.INT64, [1], [0]))
            moved = helper.make_node("Squeeze", [name, axes], [inner], name=inner)
    else:
        order = [*range(1, axis + 1), 0, *range(axis + 1, len(dims))]
        moved = helper.make_node("Transpose", [name], [inner], name=inner, perm=order)
    graph.node.insert(0, moved)
