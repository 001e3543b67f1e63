# SPDX-License-Identifier: Apache-2.0
"""The parts of the C backend: packing, tables, loops, memory, and what it refuses."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from integer_networks import Builder, integer, layouts, one_dimensional, random_network, residual, zou

from snncc.backends.c.blob import Blob, packed
from snncc.backends.c.compile import compile_network
from snncc.backends.c.layout import BYTES, C_TYPES, channels_last, nested, smallest
from snncc.backends.c.memory import arranged, order, shortened
from snncc.backends.c.package import package
from snncc.errors import EmitError, UsageError
from snncc.integer.widths import proved_widths
from snncc.ir.network import Network
from snncc.ir.nodes import Affine, SignedIF


@pytest.mark.parametrize(("low", "high", "bits"), [(-1, 1, 2), (-8, 7, 4), (-128, 127, 8)])
def test_packed_weights_read_back(low: int, high: int, bits: int) -> None:
    values = np.random.default_rng(0).integers(low, high + 1, 37)
    values[:2] = low, high
    found, data = packed(values)
    assert found == bits
    assert len(data) == -(-37 * bits // 8)
    codes = [(data[i * bits // 8] >> (i * bits % 8)) & ((1 << bits) - 1) for i in range(37)]
    half = 1 << (bits - 1)
    decoded = [{0: 0, 1: 1, 2: -1}[c] if bits == 2 else (c ^ half) - half for c in codes]
    assert decoded == values.tolist()


def test_weights_beyond_int8_are_refused() -> None:
    with pytest.raises(EmitError, match="more than int8"):
        packed(np.array([128]))


@pytest.mark.parametrize(
    ("values", "period", "size"), [([5] * 8, 1, 1), ([1, -300] * 4, 2, 2), ([*range(7), 1 << 20], 8, 4)]
)
def test_tables_keep_one_period(values: list[int], period: int, size: int) -> None:
    blob = Blob()
    blob.place(b"x")
    found = blob.table(np.array(values))
    assert (found.offset, found.period, found.bytes) == (1, period, size)
    raw = bytes(blob.data[1:])
    read = [int.from_bytes(raw[i * size : (i + 1) * size], "little", signed=True) for i in range(period)]
    assert [read[i % period] for i in range(len(values))] == values
    assert blob.table(np.array(values)) == found  # and equal ones once
    assert len(blob.data) == 1 + period * size


@pytest.mark.parametrize(("low", "high", "kind"), [(0, 1, "int16"), (-32768, 32767, "int16"), (0, 32768, "int32")])
def test_smallest_type(low: int, high: int, kind: str) -> None:
    assert smallest(low, high, ("int16", "int32"), "x") == kind
    with pytest.raises(EmitError, match="x reaches"):
        smallest(low, 1 << 31, ("int16", "int32"), "x")


@pytest.mark.parametrize(
    "cut",
    [
        np.s_[:, :, ::2, ::-1],
        np.s_[:, 1:3, 2:, :],
        np.s_[:, :, :, 1],
    ],
)
def test_loops_visit_the_pairs_of_an_index_map(cut: tuple[slice, ...]) -> None:
    source = channels_last((1, 4, 6, 5))[cut]
    target = channels_last(source.shape)
    found = nested(target, source)
    assert found is not None
    pairs = {
        (
            found.to + sum(i * s for i, s in zip(at, found.to_strides, strict=True)),
            found.source + sum(i * s for i, s in zip(at, found.from_strides, strict=True)),
        )
        for at in np.ndindex(*found.extents)
    }
    assert pairs == set(zip(target.ravel().tolist(), source.ravel().tolist(), strict=True))


def test_irregular_pattern_has_no_loops() -> None:
    source = np.array([0, 1, 3, 2])
    assert nested(np.arange(4), source) is None
    assert nested(np.arange(4), np.array([0, -1, 2, 3])) is None


@pytest.mark.parametrize("network", [residual(), layouts(), one_dimensional(), zou(), *map(random_network, range(30))])
def test_buffers_that_live_together_do_not_overlap(network: Network) -> None:
    lowered = integer(network, 5)
    program = shortened(compile_network(network, lowered.widths, max_timesteps=5))
    memory = arranged(program)
    step = {buffer.name: buffer for buffer in program.buffers if buffer.lifetime == "step"}
    assert memory.offsets.keys() == step.keys()
    calls = order(program)
    used = {
        name: [i for i, c in enumerate(calls) if name in (c.target.name, *(s.name for s in c.sources))] for name in step
    }
    for name, buffer in step.items():
        span = memory.offsets[name], memory.offsets[name] + buffer.length
        assert 0 <= span[0] < span[1] <= memory.pools[C_TYPES[buffer.type]]
        for other, neighbour in step.items():
            alive = used[name][0] <= used[other][-1] and used[other][0] <= used[name][-1]
            if other != name and alive and C_TYPES[neighbour.type] == C_TYPES[buffer.type]:
                begin = memory.offsets[other]
                assert span[1] <= begin or begin + neighbour.length <= span[0], (name, other)
    own = sum(buffer.bytes for buffer in program.buffers if buffer.lifetime != "step")
    assert memory.bytes(program) == own + sum(n * BYTES[kind] for kind, n in memory.pools.items())


def test_gains_bound_what_an_output_can_gain() -> None:
    rng = np.random.default_rng(0)
    b = Builder(0)
    spikes = b.fire(b.linear(b.flat(b.input(1, 3, 3)), 6), threshold=3000)
    network = b.done(b.linear(spikes, 4))
    program = compile_network(network, integer(network, 5).widths, max_timesteps=5)
    assert program.gains is not None
    at, size = program.gains.offset, program.gains.bytes
    raw = [program.blob.data[at + i * size : at + (i + 1) * size] for i in range(program.gains.period)]
    gains = np.array([int.from_bytes(r, "little", signed=True) for r in raw]).reshape(4, 4)
    last = network[network.outputs[0]]
    weight, bias = (network.arrays[name].astype(np.int64) for name in last.array_names())
    y = rng.integers(-1, 2, (5000, 6)) @ weight.T + bias
    differences = y[:, :, None] - y[:, None, :]
    assert (differences >= gains).all()
    extreme = np.sign(-(weight[:, None] - weight[None])).astype(np.int64)  # the worst spikes for each pair
    worst = np.einsum("ijk,ijk->ij", extreme, weight[:, None] - weight[None]) + bias[:, None] - bias[None]
    assert np.array_equal(worst, gains)


def broken(kind: str) -> Network:
    b = Builder(0)
    x = b.fire(b.conv(b.input(2, 5, 5), 4, (3, 3)), threshold=900)
    network = b.done(b.linear(b.flat(x), 3))
    neuron = next(node for node in network.nodes if isinstance(node, SignedIF))
    if kind == "amplitude":
        return network.with_arrays({"unit": np.asarray(2, np.int32)})
    affine = Affine(name="h", inputs=(neuron.inputs[0],), shape=neuron.shape, batch=0, dtype="int32", scale="h/s")
    nodes = [
        n
        for node in network.nodes
        for n in ((affine, msgspec.structs.replace(node, inputs=("h",))) if node is neuron else (node,))
    ]
    return Network(
        nodes=tuple(nodes),
        outputs=network.outputs,
        arrays={**network.arrays, "h/s": np.array([1, 1 << 20, 3, 4], np.int32).reshape(1, 4, 1, 1)},
        stage="integer",
    )


@pytest.mark.parametrize(("kind", "message"), [("amplitude", "other amplitudes"), ("scale", "int32|no int32")])
def test_what_does_not_fit_is_refused_by_name(kind: str, message: str) -> None:
    network = broken(kind)
    with pytest.raises(EmitError, match=message):
        compile_network(network, proved_widths(network, 256), max_timesteps=256)


def test_refuses_more_steps_than_are_proved() -> None:
    with pytest.raises(UsageError, match="proved for T up to 5"):
        package(integer(zou(), 5), {"image": np.zeros((1, 1, 8, 8))}, name="x", method="y", timesteps=6)


@pytest.mark.parametrize(("bias", "kind"), [(1, "int16"), (2, "int32")])
def test_accumulator_takes_the_first_type_that_holds_every_partial_sum(bias: int, kind: str) -> None:
    b = Builder(0)
    spikes = b.fire(b.linear(b.flat(b.input(1, 1, 2)), 258), "if", threshold=500)
    last = b.linear(spikes, 1)
    b.arrays[f"{last}/w"], b.arrays[f"{last}/b"] = np.full((1, 258), 127, np.int8), np.array([bias], np.int32)
    network = b.done(last)
    program = compile_network(network, proved_widths(network, 4), max_timesteps=4)
    name = f"acc_{len(network.nodes) - 1}"
    assert [buffer.type for buffer in program.buffers if buffer.name == name] == [kind]  # 127 * 258 + 1 = 32767
