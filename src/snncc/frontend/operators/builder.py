# SPDX-License-Identifier: Apache-2.0
"""`Builder`: what the lowering functions use to add nodes, with the care for shapes and the samples' axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

from snncc.ir.network import Array, frozen
from snncc.ir.nodes import Affine, Attribute, Constant, Node, Operator, Repeat, Reshape, Sum, Transpose

N = TypeVar("N", bound=Node)
#: An operand of an ONNX node: a value of the network, a constant, or absent.
Operand: TypeAlias = Node | Array | None


#: A lowering function: (builder, *operands, **attributes) -> a node, or a list aligned with the ONNX node's outputs.
Lowering: TypeAlias = Callable[..., Any]


class Unsupported(Exception):
    """An ONNX node that cannot be lowered, with what to do about it."""

    def __init__(self, reason: str, *, cure: str) -> None:
        super().__init__(reason)
        self.reason, self.cure = reason, cure


class OpenShape(Unsupported):
    """A value whose shape is not known."""


class MixesSamples(Unsupported):
    """A node whose result has no axis that carries the samples: the network then runs one sample at a time."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, cure="keep the samples on an axis of their own")


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The NumPy broadcast of shapes."""
    return tuple(np.broadcast_shapes(*[tuple(s) for s in shapes]))


def axes_like(x: Node, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The axes of a shape that start where the samples' axis of x does; of these the ones of its extent, else all."""
    begin, extent = math.prod(x.shape[: x.batch]), x.shape[x.batch or 0]
    fits = [i for i in range(len(shape)) if math.prod(shape[:i]) == begin]
    if not fits:
        raise MixesSamples("it cuts the samples' axis")
    return fits, [i for i in fits if shape[i] == extent] or fits


class Builder:
    """Collects nodes and arrays; `out` and `shape` are the name and shape of the ONNX value being lowered."""

    def __init__(self, opset: int, grows: Callable[[str], int | None] = lambda name: None) -> None:
        self.opset, self.grows = opset, grows
        self.nodes: list[Node] = []
        self.arrays: dict[str, Array] = {}
        self.out = ""
        self.shape: tuple[int, ...] = ()
        self.dtype = "float32"
        self.taken: set[str] = set()
        self.results: list[tuple[str, tuple[int, ...], str]] = []

    def select(self, index: int) -> bool:
        """Make the ONNX node's output `index` the value being lowered; False if nothing reads it."""
        if index >= len(self.results) or not self.results[index][0]:
            return False
        self.out, self.shape, self.dtype = self.results[index]
        return True

    def fresh(self, suffix: str) -> str:
        """A name for an intermediate value of the ONNX value being lowered."""
        name, i = f"{self.out}.{suffix}", 2
        while name in self.taken:
            name, i = f"{self.out}.{suffix}{i}", i + 1
        self.taken.add(name)
        return name

    def add(self, node: N) -> N:
        """Append a node."""
        self.taken.add(node.name)
        self.nodes.append(node)
        return node

    def unary(self, kind: type[N], x: Node, **fields: Any) -> N:
        """A node of one input that computes the ONNX value being lowered, with the samples where x has them."""
        given = {"name": self.out, "inputs": (x.name,), "shape": self.shape, "batch": x.batch} | fields
        return self.add(kind(**given))

    def array(self, suffix: str, value: Any) -> str:
        """Store an array under a name of its own; float types become float32."""
        array = np.asarray(value)
        if array.dtype.kind in "fV":  # V: bfloat16 and the like
            array = array.astype(np.float32)
        name = f"{self.out}/{suffix}"
        self.arrays[name] = frozen(array)
        return name

    def node(self, operand: Operand, suffix: str = "constant") -> Node:
        """An operand as a node; an array becomes a `Constant`."""
        if isinstance(operand, Node):
            return operand
        if operand is None:
            raise Unsupported("a required input is absent", cure="check the file with onnx.checker")
        name = self.fresh(suffix)
        key = self.array(name.rsplit(".", 1)[-1], operand)
        stored = self.arrays[key]
        return self.add(Constant(name=name, shape=stored.shape, batch=None, dtype=str(stored.dtype), value=key))

    def repeated(self, x: Node, axis: int) -> Node:
        """A value without a batch axis, one copy per sample."""
        if x.batch is not None:
            return x
        return self.add(Repeat(name=self.fresh("repeated"), inputs=(x.name,), shape=x.shape, batch=axis, dtype=x.dtype))

    def samples_axis(self, inputs: Sequence[Node], rank: int) -> tuple[int, int] | None:
        """The axis that carries the samples where the inputs are broadcast to `rank` axes, and its extent."""
        axes = {(x.batch + rank - len(x.shape), x.shape[x.batch]) for x in inputs if x.batch is not None}
        if len(axes) > 1:
            raise MixesSamples("its operands carry the samples on different axes")
        return next(iter(axes), None)

    def spread(self, x: Node, axis: int, rank: int) -> Node:
        """An operand of a broadcast to `rank` axes; what differs along the samples' axis is repeated per sample."""
        own = axis - (rank - len(x.shape))
        return self.repeated(x, own) if own >= 0 and x.shape[own] > 1 else x

    def aligned(self, inputs: Sequence[Node], shape: Sequence[int]) -> tuple[list[Node], int | None]:
        """Operands of a broadcasting operator and the batch axis of the result."""
        rank = len(shape)
        if (carried := self.samples_axis(inputs, rank)) is None:
            return list(inputs), None
        axis, extent = carried
        if shape[axis] != extent:
            raise MixesSamples("broadcasting enlarges the samples' axis")
        return [self.spread(x, axis, rank) for x in inputs], axis

    def operator(
        self,
        op: str,
        *inputs: Node,
        batch: int | None,
        shape: Sequence[int] | None = None,
        name: str | None = None,
        dtype: str | None = None,
        **attributes: Attribute,
    ) -> Operator:
        """An `Operator` node that computes the ONNX value being lowered (or, with `name`, another)."""
        return self.add(
            Operator(
                name=name or self.out,
                inputs=tuple(x.name for x in inputs),
                shape=tuple(shape if shape is not None else self.shape),
                batch=batch,
                dtype=dtype or self.dtype,
                op=op,
                attributes=attributes,
            )
        )

    def elementwise(self, op: str, *operands: Operand, **attributes: Any) -> Node:
        """An operator that broadcasts its operands."""
        inputs, batch = self.aligned([self.node(x) for x in operands], self.shape)
        return self.operator(op, *inputs, batch=batch, **attributes)

    def affine(self, x: Node, scale: Array | None, shift: Array | None) -> Node:
        """scale x + shift with constant operands."""
        shape = broadcast_shape(x.shape, *[c.shape for c in (scale, shift) if c is not None])
        batch = None if x.batch is None else x.batch + len(shape) - len(x.shape)
        extents = [
            c.shape[batch - len(shape)]
            for c in (scale, shift)
            if batch is not None and c is not None and c.ndim >= len(shape) - batch
        ]
        if batch is not None and (shape[batch] != x.shape[x.batch or 0] or any(e > 1 for e in extents)):
            return self.affine_per_row(x, scale, shift)
        arrays = {n: None if c is None else self.array(n, c) for n, c in (("scale", scale), ("shift", shift))}
        return self.unary(Affine, x, shape=shape, batch=batch, dtype=x.dtype, **arrays)

    def affine_per_row(self, x: Node, scale: Array | None, shift: Array | None) -> Node:
        """scale x + shift where the constants differ along the samples' axis (another axis was merged into it)."""
        final = self.out
        if scale is not None:
            inputs, batch = self.aligned([x, self.node(scale)], broadcast_shape(x.shape, scale.shape))
            name = final if shift is None else self.fresh("scaled")
            x = self.operator("multiply", *inputs, batch=batch, name=name)
        if shift is not None:
            x = self.sum([x, self.node(shift)], (1.0, 1.0))
        return x

    def sum(self, terms: Sequence[Node], coefficients: Sequence[float]) -> Node:
        """A weighted sum that computes the ONNX value being lowered."""
        inputs, batch = self.aligned(terms, self.shape)
        names, weights = tuple(x.name for x in inputs), tuple(coefficients)
        node = Sum(name=self.out, inputs=names, shape=self.shape, batch=batch, dtype=self.dtype, coefficients=weights)
        return self.add(node)

    def reshape(
        self,
        x: Node,
        shape: Sequence[int],
        *,
        name: str | None = None,
        batch: int | None = None,
        hint: int | None = None,
    ) -> Node:
        """x in another shape; `batch` where the caller knows the axis, else found from the layout of the entries."""
        if x.batch is not None and batch is None:
            batch = self.batch_after_reshape(x, tuple(shape), hint)
        return self.unary(Reshape, x, name=name or self.out, shape=tuple(shape), batch=batch, dtype=x.dtype)

    def batch_after_reshape(self, x: Node, shape: tuple[int, ...], hint: int | None) -> int:
        """The axis that starts where the samples' axis of x started.

        Where several do, the one that grows with the number of samples; in a graph that is made for one sample the
        first, as if what was merged were taken apart, or the one that `hint` chooses (where the file wrote -1).
        """
        fits, same = axes_like(x, shape)
        if len(fits) > 1 and (len(same) > 1 or x.shape[x.batch or 0] > 1):
            if (axis := self.grows(self.out)) in fits:
                return axis
            if hint is None and x.shape[x.batch or 0] > 1:
                return fits[0]
        return hint if hint in same or (hint in fits and hint < same[0]) else same[0]

    def transpose(self, x: Node, permutation: Sequence[int], *, name: str | None = None) -> Node:
        """x with its axes permuted."""
        order = tuple(permutation)
        shape, batch = tuple(x.shape[i] for i in order), None if x.batch is None else order.index(x.batch)
        fields = {"shape": shape, "batch": batch, "dtype": x.dtype, "permutation": order}
        return self.unary(Transpose, x, name=name or self.out, **fields)
