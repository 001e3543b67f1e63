# SPDX-License-Identifier: Apache-2.0
"""The text form of a network: one line per node, arrays as type and shape. For people and for golden files."""

from __future__ import annotations

from snncc.ir.network import Array, Network
from snncc.ir.nodes import Differential
from snncc.names import safe_name
from snncc.neurons.node import Node

SKIPPED = ("name", "inputs", "shape", "batch", "dtype")
SHORT = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32"}


def array_text(array: Array) -> str:
    """`f32[8, 3, 3, 3]`, or the value of a scalar."""
    if array.ndim == 0:
        return f"{array.item():.6g}"
    return f"{SHORT.get(str(array.dtype), str(array.dtype))}[{', '.join(map(str, array.shape))}]"


def fields_text(net: Network, node: Node) -> str:
    """The fields of a node that differ from their defaults, arrays by type and shape."""
    parts: list[str] = []
    defaults = dict(zip(reversed(type(node).__struct_fields__), reversed(type(node).__struct_defaults__), strict=False))
    for name in type(node).__struct_fields__:
        value = getattr(node, name)
        if name in SKIPPED or (name in defaults and value == defaults[name]):
            continue
        if name in node.ARRAYS and value is not None:
            value = array_text(net.arrays[value])
        elif isinstance(node, Differential) and name == "function":
            inner = fields_text(net, node.function)
            value = f"{type(node.function).__name__}({inner})"
        elif name == "attributes":
            parts.extend(f"{key}={item}" for key, item in value.items())
            continue
        parts.append(f"{name}={value}")
    return " ".join(parts)


def extent_text(of_samples: bool, extent: int) -> str:
    """One extent; N is the number of samples."""
    if not of_samples:
        return str(extent)
    return "N" if extent == 1 else f"N*{extent}"


def to_text(net: Network) -> str:
    """The whole network, one line per node."""
    outputs = ", ".join(map(safe_name, net.outputs))
    late = f" readout_after={net.schedule.readout_after}" if net.schedule.readout_after else ""
    tail = "" if net.analog_tail is None else f" analog_tail={net.analog_tail}"
    lines = [f"network stage={net.stage} schedule={net.schedule.kind}{late} outputs={outputs}{tail}"]
    for node in net.nodes:
        shape = ", ".join(extent_text(i == node.batch, d) for i, d in enumerate(node.shape))
        kind = "" if node.dtype == "float32" else f" {node.dtype}"
        sources = ", ".join(map(safe_name, node.inputs))
        line = f"  {safe_name(node.name)}: {type(node).__name__}({sources}) [{shape}]{kind} {fields_text(net, node)}"
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"
