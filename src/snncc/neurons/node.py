# SPDX-License-Identifier: Apache-2.0
"""The nodes of the intermediate representation, and what a neuron is.

A node computes one value and is named after it; the name is the value's name in the ONNX file. A node is frozen
data: arrays are referred to by name and live in `Network.arrays`. `call()` names the pure function that evaluates
the node (by its name in the tables of `functions`), its arrays and its options.

`shape` is the full shape for one sample; `batch` is the axis that carries the samples, or None. The extent of that
axis is the number of entries *per sample* (1, unless the graph merged another axis into it), sample-major.

A neuron of one's own
---------------------
A neuron is a node, a step and a scan. The node is a frozen subclass of `Neuron`; its own fields are the scan's options,
and fields listed in `ARRAYS` (behind threshold, amplitude and v_init) name further arrays:

    class Decaying(Neuron, frozen=True, kw_only=True, tag=True):
        decay: float = 0.9
        DEFINITION: ClassVar[Definition] = Definition(step=decaying_step, scan=decaying_scan)

    def decaying_step(node, current, state, arrays, place):            # NumPy, one step: the definition
        (u,) = state or (np.zeros_like(current) + arrays[node.v_init],)
        u = node.decay * u + current
        z = (u >= arrays[node.threshold]).astype(u.dtype)
        return z * arrays[node.amplitude], (u - z * arrays[node.threshold],)

    def decaying_scan(current, threshold, amplitude, v_init, *, decay, state=None):           # torch, T steps
        ...                                                            # overwrites current, (T, N, *shape)
        return current, (u, n)

The step returns the value emitted and the state that the next step gets (None before the first one), a tuple that
begins with the membrane potential. The scan gets the arrays in the order of `ARRAYS`; it returns its output and two
tensors of state, shaped like one step. Both fire at u >= threshold and give the same numbers. The class says what the
rest of snncc asks a neuron: see `Neuron`.

The reference and the torch executor run such a neuron; whatever else would need its text (ONNX, C, NIR, integers)
refuses it by name. Neurons of snncc are listed in `neurons.table` and lie in a folder each: node.py, step.py,
scan.py, cell.py (ONNX) and, where the native engine has them, step.h (C).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

Ints = tuple[int, ...]
#: An attribute of an `Operator`: plain data, so that a network is plain data.
Attribute = int | float | str | bool | tuple[int | float | str | bool, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a node is evaluated: `function(*inputs, *arrays, **options)`."""

    function: str
    arrays: tuple[str | None, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    #: The function adds constants and takes `offset`, their multiplier at this step.
    offset: bool = False


class Node(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """A value and how it is computed from other values."""

    name: str
    inputs: tuple[str, ...] = ()
    shape: Ints
    batch: int | None
    dtype: str = "float32"

    #: Sets of input positions in which the node is jointly linear, the other inputs being static.
    LINEAR: ClassVar[tuple[Ints, ...]] = ()
    #: Fields that hold names of arrays.
    ARRAYS: ClassVar[tuple[str, ...]] = ()

    def linear_in(self) -> tuple[Ints, ...]:
        """The sets of inputs in which the node is jointly linear (up to constants that it adds)."""
        return self.LINEAR

    def call(self) -> Call:
        """The function that evaluates the node."""
        raise TypeError(f"{type(self).__name__} keeps state or is a source; executors treat it themselves")

    def array_names(self) -> tuple[str, ...]:
        """The arrays the node refers to."""
        return tuple(name for f in self.ARRAYS if (name := getattr(self, f)) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a piece of a simulation lies: its samples, the number of the first one, and the steps before it."""

    samples: int
    first_sample: int = 0
    first_step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """How a neuron computes, once per language; None where it has no text.

    step(node, current, state, arrays, place) -> (value, state): NumPy, one step, arrays by name.
    scan(current, *arrays, **options, state=None) -> (current, state): torch, T steps.
    cell(cell, node, current) -> the value, as ONNX nodes.
    """

    step: Callable[..., Any]
    scan: Callable[..., Any]
    cell: Callable[..., Any] | None = None


class Spiking(Node, frozen=True, kw_only=True):
    """What emits spikes: neurons, and encoders of the input."""

    #: What the scan is told about its place: of samples, axis, first_sample and first_step.
    PLACE: ClassVar[tuple[str, ...]] = ()

    @property
    def random(self) -> bool:
        """Whether its spikes are drawn at random."""
        return False

    def placed(self, place: Place) -> dict[str, int]:
        """The arguments of the scan that tell where it stands."""
        known = {
            "samples": place.samples if self.batch is not None else 1,
            "axis": self.batch or 0,
            "first_sample": place.first_sample,
            "first_step": place.first_step,
        }
        return {name: known[name] for name in self.PLACE}


class Neuron(Spiking, frozen=True, kw_only=True):
    """Shared by neurons that integrate one input current.

    `threshold`, `amplitude` (the value that one spike carries downstream) and `v_init` (the initial membrane
    potential) are arrays that broadcast against the node's shape: one value, one per channel or one per neuron.
    """

    threshold: str
    amplitude: str
    v_init: str
    ARRAYS: ClassVar[tuple[str, ...]] = ("threshold", "amplitude", "v_init")
    #: How it computes; ours stand in `neurons.table`.
    DEFINITION: ClassVar[Definition | None] = None
    #: Whether it emits negative spikes too.
    SIGNED: ClassVar[bool] = False
    #: Whether it answers negative input with negative values.
    TWO_SIDED: ClassVar[bool] = False
    #: Whether the second part of its state counts what it has emitted, in units of the amplitude.
    COUNTED: ClassVar[bool] = False
    #: Whether it may start charged: at v_init = threshold / 2 a count is rounded and not floored.
    CHARGED: ClassVar[bool] = True
    #: Whether it has a form in whole numbers, and so in C.
    WHOLE: ClassVar[bool] = False

    @property
    def graded(self) -> bool:
        """Whether the values that it emits need not be multiples of `amplitude`."""
        return False

    @property
    def levels(self) -> int:
        """How many sizes a spike of one sign may have."""
        return 1

    @property
    def at_once(self) -> int:
        """The most spikes of one sign in a step, in units of the amplitude."""
        return self.levels

    @property
    def resolution(self) -> int:
        """Into how many levels its threshold divides the largest activation."""
        return 1

    @property
    def cap(self) -> int | None:
        """The most net spikes that it ever emits; None without such a limit."""
        return None

    @property
    def reset(self) -> str:
        """What a spike does to the membrane potential: "subtract" the threshold, or set it to "zero"."""
        return "subtract"

    @property
    def negative(self) -> str:
        """When it takes a spike back: u < 0 "early", u <= 0 "at_zero", u <= -threshold "signed", or "" for never."""
        return ""

    @property
    def free(self) -> bool:
        """Whether the threshold may be chosen anew when all else is fixed: nothing but the spikes depends on it."""
        return False

    @property
    def offset(self) -> str | None:
        """The array of counts that flow as a constant beside its spikes in the first `until` steps, if any do."""
        return None

    @property
    def until(self) -> int:
        """For how many steps the offset flows."""
        return 0

    @property
    def shared(self) -> str:
        """Whose currents its threshold follows: "" (its own), those of the "sample" or of the whole "batch"."""
        return ""

    @property
    def slope(self) -> str | None:
        """The array of factors that negative values get, if any."""
        return None

    @property
    def compiled(self) -> str | None:
        """Which kind of step of scan.c it is, lower case; None where only the scan in torch has it."""
        return None

    @property
    def spikes_in_c(self) -> str | None:
        """The spikes of a step in C, by its step.h, from v, at (the threshold) and had; None where it has no text."""
        return None

    def options(self) -> dict[str, Any]:
        """What the scan takes by name: the neuron's own fields."""
        fields = type(self).__struct_fields__[len(Neuron.__struct_fields__) :]
        return {name: getattr(self, name) for name in fields if name not in self.ARRAYS}
