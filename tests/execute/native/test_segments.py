# SPDX-License-Identifier: Apache-2.0
"""Networks of which torch computes some nodes between segments of generated C: every spike is the reference's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chains import Chain, samples

from snncc.execute.executors import ReferenceExecutor
from snncc.execute.native.executor import EngineNotice, NativeExecutor, native_executor
from snncc.execute.native.lower import lower
from snncc.execute.native.program import UnsupportedNode
from snncc.ir.network import Network
from snncc.ir.nodes import CentredIF, Constant, Differential, MultiThreshold, Operator, Reshape, Transpose
from snncc.ir.schedule import Schedule

T, POINTS, PIECE = 6, (1, 4, 6), 4


def absolute(c: Chain, source: str) -> str:
    """An event-driven function that only torch has; exact in numbers of eighths."""
    shape = c.shape_of(source)
    function = Operator(name=f"n{len(c.nodes)}", inputs=(source,), shape=shape, batch=0, op="absolute")
    return c.add(Differential, source, function=function, low=(None,), high=(None,), nonzero=(0.0,))


def doubled(c: Chain, source: str, axis: int) -> str:
    """Every entry twice along an axis, as enlargements to the nearest entry do it."""
    index = np.repeat(np.arange(c.shape_of(source)[axis]), 2)
    name = f"n{len(c.nodes)}.index"
    c.nodes.append(
        Constant(name=name, inputs=(), shape=index.shape, batch=None, value=c.array(f"{name}/v", index), dtype="int64")
    )
    shape = list(c.shape_of(source))
    shape[axis] *= 2
    node = Operator(
        name=f"n{len(c.nodes)}",
        inputs=(source, name),
        shape=tuple(shape),
        batch=0,
        op="gather",
        attributes={"axis": axis},
    )
    c.nodes.append(node)
    return node.name


def between(c: Chain) -> tuple[str, ...]:
    """Torch's nodes read a spike, a current and each other; the C reads them as currents, summands and spikes."""
    a = c.neuron(c.conv("x", 16), kind=CentredIF, until=4, per="neuron")
    b = absolute(c, c.sum(c.conv(a, 16), a, coefficients=(1.0, -1.0)))
    d = c.neuron(c.conv(c.neuron(c.sum(c.conv(b, 16), b)), 16), kind=MultiThreshold, sizes=2)
    e = c.neuron(c.conv(absolute(c, d), 16), kind=CentredIF, until=4)
    return c.linear(c.flat(c.neuron(c.conv(e, 16))), 3), absolute(c, d)


def exchanged(c: Chain) -> tuple[str, ...]:
    """Nothing for torch: channels exchanged by way of values of five dimensions."""
    a = c.neuron(c.conv("x", 16), kind=CentredIF, until=4)
    b = c.add(Reshape, a, shape=(1, 4, 4, *c.shape_of(a)[2:]))
    d = c.add(Transpose, b, permutation=(0, 2, 1, 3, 4))
    e = c.neuron(c.conv(c.add(Reshape, d, shape=c.shape_of(a)), 16))
    return (c.linear(c.flat(e), 3),)


def without_a_place(c: Chain) -> tuple[str, ...]:
    """A function of a value of five dimensions."""
    a = c.neuron(c.conv("x", 16), kind=CentredIF, until=4)
    b = absolute(c, c.add(Reshape, a, shape=(1, 4, 4, *c.shape_of(a)[2:])))
    e = c.neuron(c.conv(c.add(Reshape, b, shape=c.shape_of(a)), 16))
    return (c.linear(c.flat(e), 3),)


def enlarged(c: Chain) -> tuple[str, ...]:
    """Nothing for torch: an enlargement moves entries."""
    a = c.neuron(c.conv("x", 16, stride=(2, 2)), kind=CentredIF, until=4, per="neuron")
    return (c.conv(c.neuron(c.conv(doubled(c, doubled(c, a, 2), 3), 16)), 2),)


def built(build: Callable[[Chain], tuple[str, ...]], schedule: Schedule | None = None) -> Network:
    c = Chain(shape=(2, 6, 5), schedule=schedule or Schedule())
    return c.network(*build(c))


@pytest.mark.parametrize(("build", "outside"), [(between, 3), (without_a_place, 3), (exchanged, 0), (enlarged, 0)])
def test_every_spike_is_that_of_the_reference(build: Callable[[Chain], tuple[str, ...]], outside: int) -> None:
    net = built(build, Schedule(kind="window", steps=5))
    executor, feeds = NativeExecutor(net, steps=PIECE, dtype="float64", threads=1), samples(net)
    assert len(executor.engine.program.outside) == outside
    found, expected = executor.run(feeds, T, POINTS), ReferenceExecutor(net).run(feeds, T, POINTS)
    assert 0 < found.negative < found.positive
    for name, events in found.events.items():
        np.testing.assert_array_equal(events.reshape(-1), expected.events[name].reshape(-1), err_msg=name)
    assert (found.positive, found.negative) == (expected.positive, expected.negative)
    assert found.events.keys() == executor.engine.torch.emits & expected.events.keys()
    for name, y in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[name], y, rtol=1e-12, atol=1e-12)


def test_densities_of_what_torch_gives_are_counted() -> None:
    net = built(between)
    executor, feeds = NativeExecutor(net, steps=PIECE, threads=1), samples(net)
    events = executor.run(feeds, T, POINTS).events
    program = executor.engine.program
    for name, value in program.imports.items():
        np.testing.assert_array_equal(executor.engine.events(value).sum(), events[name].sum())
    assert set(program.imports) == {node.name for _, node in program.outside if not isinstance(node, MultiThreshold)}


def test_torch_does_all_where_it_would_do_most() -> None:
    c = Chain(shape=(2, 3, 4, 4))
    net = c.network(c.conv(c.neuron(c.conv(c.neuron("x"), 4)), 2))
    with pytest.raises(UnsupportedNode, match=r"SignedIF n1: a value of shape \[1, 2, 3, 4, 4\]"):
        lower(net)


def test_a_notice_says_what_torch_computes() -> None:
    with pytest.warns(EngineNotice, match=r"Differential n5: Operator has no .* C; torch computes 3 nodes"):
        executor = native_executor(built(between), steps=PIECE)
    assert isinstance(executor, NativeExecutor)
    executor.run(samples(executor.engine.network), T, POINTS)
    kernels = [cost.kernel for cost in executor.costs()]
    assert kernels.count("torch") == 3
    assert all(cost.seconds > 0 for cost in executor.costs())
