# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: inputs, the events of every layer at every step and the outputs, by the NumPy reference executor.

golden.bin, little-endian: the numbers of samples and of steps (uint32), then for each sample its input, and for each
step the buffers of all layers in order (bit planes as they are, other entries in 1, 2 or 4 bytes) and the sums (int32).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from snncc.backends.c.layout import Array, IndexMap
from snncc.backends.c.program import Program
from snncc.execute.reference import Machine
from snncc.integer.executor import as_floats
from snncc.ir.network import Network

STORED: dict[str, str] = {"uint8": "u1", "int8": "i1", "uint16": "<u2", "int16": "<i2", "int32": "<i4"}


def buffer_bytes(value: Array, index: IndexMap) -> bytes:
    """One sample's value as the bytes of its buffer."""
    if index.buffer is None:
        raise TypeError("an index map without a buffer")
    flat = np.zeros(index.buffer.size, np.int64)
    flat[index.where.ravel()] = value.ravel()
    if index.buffer.type in STORED:
        return bytes(flat.astype(STORED[index.buffer.type]).tobytes())
    bits = np.packbits(flat > 0, bitorder="little").tobytes()
    return bytes(
        bits + np.packbits(flat < 0, bitorder="little").tobytes() if index.buffer.type == "signed_bits" else bits
    )


def readout(program: Program, values: Mapping[str, Array], sums: Array, t: int) -> Array:
    """The sums of the outputs after step t."""
    now = np.concatenate([values[output.name].reshape(-1) for output in program.outputs])
    return now if t == program.schedule.readout_after + 1 else sums + now


def golden_bytes(network: Network, program: Program, feeds: Mapping[str, Array], timesteps: int) -> bytes:
    """The golden vectors of samples: feeds by input name, the samples on axis 0."""
    exact = as_floats(network)  # exact: whole numbers below 2^53
    count = len(feeds[program.inputs[0][0]])
    parts = [struct.pack("<II", count, timesteps)]
    for i in range(count):
        sample: dict[str, Any] = {name: array[i : i + 1] for name, array in feeds.items()}
        parts += [np.ascontiguousarray(sample[name]).tobytes() for name, _ in program.inputs]
        machine = Machine(network=exact, feeds={name: array.astype(np.float64) for name, array in sample.items()})
        sums: Array = np.zeros(program.sums.size)
        for t in range(1, timesteps + 1):
            values = machine.step()
            parts += [buffer_bytes(values[name], program.maps[name]) for name, _ in program.traced]
            sums = readout(program, values, sums, t)
            parts.append(sums.astype("<i4").tobytes())
    return b"".join(parts)
