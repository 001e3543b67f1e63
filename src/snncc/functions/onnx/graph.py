# SPDX-License-Identifier: Apache-2.0
"""Writing ONNX nodes: names, types of values and constants, shared by a graph and the bodies of its loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array: TypeAlias = npt.NDArray[Any]
#: A value of the graph by its name, or a constant. A number takes the type of the first value beside it.
Operand: TypeAlias = "str | Array | float | int | bool | None"

OPSET = 21
IR_VERSION = 10


def tensor_type(kind: Any) -> int:
    """The ONNX element type of a NumPy type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


@dataclass(slots=True)
class Shared:
    """What a graph and the graphs inside it have in common."""

    float_type: np.dtype[Any]
    names: set[str]
    #: The shape of every value of the network for one sample.
    shapes: Mapping[str, tuple[int, ...]]
    kinds: dict[str, np.dtype[Any]] = field(default_factory=dict)
    constants: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    #: Values that have got their last name.
    settled: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Graph:
    """Nodes in the making; `scope` is what the next values are named after."""

    shared: Shared
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    scope: str = "value"

    @property
    def float_type(self) -> np.dtype[Any]:
        """The type of all values that are not whole numbers or truth values."""
        return self.shared.float_type

    def inner(self) -> Graph:
        """A graph for the body of a loop: it sees the values of this one."""
        return Graph(self.shared)

    def fresh(self, base: str) -> str:
        """A name that nothing has yet."""
        name, count = base, 1
        while name in self.shared.names:
            name, count = f"{base}_{count}", count + 1
        self.shared.names.add(name)
        return name

    def kind(self, value: str) -> np.dtype[Any]:
        """The type of a value."""
        return self.shared.kinds[value]

    def is_float(self, value: str) -> bool:
        """Whether a value is a float."""
        return self.kind(value) == self.float_type

    def constant(self, value: Any, kind: Any = None, name: str | None = None) -> str:
        """An initializer; floats in the graph's type. Equal constants are one."""
        array = np.asarray(value)
        array = array.astype(kind or (self.float_type if array.dtype.kind == "f" else array.dtype))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.shared.constants:
            made = self.fresh(name or f"{self.scope}/constant")
            self.shared.constants[key] = made
            self.shared.kinds[made] = array.dtype
            self.shared.initializers.append(numpy_helper.from_array(np.array(array, order="C"), made))
        return self.shared.constants[key]

    def shape(self, extents: Iterable[int]) -> str:
        """Whole numbers as a constant vector: shapes, axes, repeats."""
        return self.constant(np.array(list(extents), np.int64))

    def value(self, operand: Operand, like: np.dtype[Any] | None) -> str:
        """The name of an operand; None is the empty name of an input that is left out."""
        if isinstance(operand, str):
            return operand
        if operand is None:
            return ""
        if isinstance(operand, np.ndarray | np.generic):
            return self.constant(operand)
        return self.constant(np.asarray(operand), like)

    def declare(self, name: str, kind: Any) -> str:
        """A value that the graph is given: an input, or a state of a loop."""
        self.shared.kinds[name] = np.dtype(kind)
        return name

    def op(self, operator: str, *inputs: Operand, kind: Any = None, **attributes: Any) -> str:
        """One node with one output of type `kind` (default: that of the first value); returns the output's name."""
        return self.several(operator, inputs, (kind,), **attributes)[0]

    def several(self, operator: str, inputs: Sequence[Operand], kinds: Sequence[Any], **attributes: Any) -> list[str]:
        """One node with an output per entry of `kinds`; None: the type of its first value."""
        like = next((self.kind(x) for x in inputs if isinstance(x, str) and x), self.float_type)
        names = [self.value(x, like) for x in inputs]
        first = self.kind(names[0]) if names and names[0] else like
        outputs = [self.fresh(f"{self.scope}/{operator.lower()}") for _ in kinds]
        for output, kind in zip(outputs, kinds, strict=True):
            self.declare(output, first if kind is None else kind)
        self.nodes.append(helper.make_node(operator, names, outputs, **attributes))
        return outputs

    def rename_last(self, value: str, name: str) -> str:
        """Give the value of the last node another name, where the last node made it; else copy it under that name."""
        if not (self.nodes and list(self.nodes[-1].output) == [value]) or value in self.shared.settled:
            self.op("Identity", value)
        self.declare(name, self.kind(value))
        self.shared.settled.add(name)
        self.nodes[-1].output[0] = name
        return name

    def cast(self, value: Operand, kind: Any) -> str:
        """A value in another type."""
        name = self.value(value, np.dtype(kind))
        if self.kind(name) == np.dtype(kind):
            return name
        return self.op("Cast", name, kind=kind, to=tensor_type(kind))

    def floating(self, value: str) -> str:
        """A value as a float."""
        return self.cast(value, self.float_type)

    def common(self, *values: str) -> list[str]:
        """Values in one type: floats where one is a float, else the wider of their types."""
        kinds = [self.kind(v) for v in values]
        target = self.float_type if self.float_type in kinds else np.result_type(*kinds)
        return [self.cast(v, target) for v in values]

    def product(self, value: str, factor: Operand) -> str:
        """A value times a factor; the factor 1 is left out."""
        if isinstance(factor, np.ndarray) and np.all(factor == 1) and factor.size == 1:
            return value
        return self.op("Mul", value, factor)

    def where(self, condition: Operand, a: Operand, b: Operand, kind: Any = None) -> str:
        """a where the condition holds, b elsewhere."""
        kind = kind or next((self.kind(x) for x in (a, b) if isinstance(x, str)), self.float_type)
        made = [x if isinstance(x, str) else self.constant(np.asarray(x), kind) for x in (a, b)]
        return self.op("Where", condition, *made, kind=kind)
