# SPDX-License-Identifier: Apache-2.0
"""The integer deployment package: a network as C99 that needs nothing, its weights, golden vectors and manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any

import msgspec

from snncc.backends.c.compile import compile_network
from snncc.backends.c.golden import golden_bytes
from snncc.backends.c.layout import Array
from snncc.backends.c.memory import arranged, shortened
from snncc.backends.c.program import Convolve, Fire, Pool, Program
from snncc.backends.c.source import header, model_source
from snncc.integer.inputs import InputScale
from snncc.integer.network import IntegerNetwork
from snncc.integer.widths import Width
from snncc.ir.schedule import Schedule

SCHEMA = "snncc/integer-package/1"
RUNTIME = ("snn_rt.h", "snn_rt.c", "snn_test.c", "Makefile")
#: Golden vectors: at most so many samples and bytes.
GOLDEN_SAMPLES, GOLDEN_BYTES = 4, 1 << 20


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What computes one node: its events, state and accumulator, where its weights lie in the blob, how it fires."""

    node: str
    kind: str
    plane: str
    type: str
    entries: int
    membrane: str | None = None
    count: str | None = None
    negative: str | None = None
    reset: str | None = None
    levels: int | None = None
    cap: int | None = None
    weights_offset: int | None = None
    weights_bits: int | None = None
    trace: int | None = None


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input: bytes q = clip(round(x / scale + zero_point), 0, 255), row-major in `shape`."""

    name: str
    shape: tuple[int, ...]
    type: str
    quantization: InputScale


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries offset ... offset + size of snn_output(), row-major; times scale and divided by D(t): the ANN's units."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int
    scale: float


class PackageManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`manifest.json` of the package."""

    schema: Annotated[str, msgspec.Meta(pattern=r"^snncc/integer-package/1$")] = SCHEMA
    name: str
    method: str
    timesteps: int
    max_timesteps: int
    schedule: Schedule
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    fire_rule: str = "v += current; v >= threshold: a spike, v -= threshold, n += 1; up to `levels` a step, n <= cap"
    negative_rule: str = "n > 0 and v < 0 (early) or v <= -threshold (signed): a spike of -1, v += threshold, n -= 1"
    order: str = "as in `layers`, within a step without delay; the events of a layer in the order of its plane"
    layout: str = "planes: (row, column, channel); weights: (in, row, column, out of the group)"
    encoding: str = "weights: 8, 4 bits two's complement, 2 bits (0, 1 = +1, 2 = -1), low bits first; tables: signed"
    byte_order: str = "little-endian"
    layers: tuple[Layer, ...]
    widths: tuple[Width, ...]
    ram_bytes: int
    rom_bytes: int
    crc32: str
    golden: dict[str, int]
    files: dict[str, str]


def sha256(data: bytes) -> str:
    """The hash as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()


def layers(program: Program) -> tuple[Layer, ...]:
    """The layers with weights or events, in the order of evaluation."""
    traced = {buffer.name: i for i, (_, buffer) in enumerate(program.traced)}
    found = []
    for call in program.calls:
        common: dict[str, Any] = {
            "node": call.node,
            "plane": call.target.name,
            "type": call.target.type,
            "entries": call.target.size,
            "trace": traced.get(call.target.name),
        }
        if isinstance(call, Convolve):
            weights = call.weights
            found.append(Layer(**common, kind="weights", weights_offset=weights.offset, weights_bits=weights.bits))
        elif isinstance(call, Fire):
            count = None if call.count is None else call.count.type
            rule: dict[str, Any] = {
                "negative": call.negative.removeprefix("SNN_").lower(),
                "reset": "zero" if call.reset_to_zero else "subtract",
                "levels": call.levels,
                "cap": call.cap,
            }
            found.append(Layer(**common, **rule, kind="neurons", membrane=call.membrane.type, count=count))
        elif isinstance(call, Pool):
            found.append(Layer(**common, kind="max pool", membrane=call.total.type))
    return tuple(found)


def golden(
    integer: IntegerNetwork, program: Program, samples: Mapping[str, Array], timesteps: int
) -> tuple[bytes, int]:
    """Golden vectors of as many samples as fit, and how many that is."""
    given = {name: integer.quantized(array[:GOLDEN_SAMPLES]) for name, array in samples.items()}
    first = {name: array[:1] for name, array in given.items()}
    data = golden_bytes(integer.network, program, first, timesteps)
    count = min(len(next(iter(given.values()))), max(1, GOLDEN_BYTES // len(data)))
    if count > 1:
        data = golden_bytes(integer.network, program, {n: a[:count] for n, a in given.items()}, timesteps)
    return data, count


def weights_source(blob: bytes) -> str:
    """The blob as an array of C."""
    rows = [", ".join(f"0x{byte:02x}" for byte in blob[i : i + 16]) for i in range(0, len(blob), 16)]
    body = ",\n    ".join(rows)
    return (
        "/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated by snncc: weights.bin as an array. */\n"
        f'#include "snn_model.h"\n\nconst uint8_t snn_weights[SNN_WEIGHTS_SIZE] = {{\n    {body},\n}};\n'
    )


def package(
    integer: IntegerNetwork, samples: Mapping[str, Array], *, name: str, method: str, timesteps: int
) -> dict[str, bytes]:
    """The files of the package; `samples`: real inputs by name, for the golden vectors.

    Raises EmitError naming the node that has no form in C or does not fit, UsageError for T beyond max_timesteps.
    """
    integer.refuse_longer(timesteps)
    network = integer.network
    program = shortened(compile_network(network, integer.widths, max_timesteps=integer.max_timesteps))
    memory = arranged(program)
    ram = memory.bytes(program)
    vectors, count = golden(integer, program, samples, timesteps)
    blob = bytes(program.blob.data)
    files = {key: runtime_file(key) for key in RUNTIME} | {
        "snn_model.h": header(program, timesteps=timesteps, ram=ram).encode(),
        "snn_model.c": model_source(program, memory).encode(),
        "snn_weights.c": weights_source(blob).encode(),
        "weights.bin": blob,
        "golden.bin": vectors,
    }
    manifest = PackageManifest(
        name=name,
        method=method,
        timesteps=timesteps,
        max_timesteps=integer.max_timesteps,
        schedule=network.schedule,
        inputs=tuple(
            Input(name=key, shape=network[key].shape, type=buffer.type, quantization=integer.input)
            for key, buffer in program.inputs
        ),
        outputs=tuple(
            Output(name=o.name, shape=o.shape, offset=o.offset, size=o.size, scale=integer.output_scale[o.name])
            for o in program.outputs
        ),
        layers=layers(program),
        widths=integer.widths,
        ram_bytes=ram,
        rom_bytes=len(blob),
        crc32=f"{program.blob.crc32:08x}",
        golden={"samples": count, "steps": timesteps},
        files={key: sha256(data) for key, data in sorted(files.items())},
    )
    files["manifest.json"] = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"
    sums = "".join(f"{sha256(data)}  {key}\n" for key, data in sorted(files.items()))
    return {**files, "SHA256SUMS": sums.encode()}


def runtime_file(name: str) -> bytes:
    """A file of the runtime, as it is shipped."""
    return (resources.files("snncc.backends.c") / "runtime" / name).read_bytes()
