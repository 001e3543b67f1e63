# SPDX-License-Identifier: Apache-2.0
"""The spiking network as standard ONNX: one step with explicit states, and T steps in a Loop. No custom operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import helper

from snncc.errors import EmitError
from snncc.execute.onnx.network import State, Writer, refuse
from snncc.functions.onnx.graph import IR_VERSION, OPSET, Graph, Shared, tensor_type
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Input, Neuron, Node, Repeat, Spiking
from snncc.neurons.cell import Clock

LIMIT = (1 << 31) - (1 << 20)
STEP_TEXT = """One step of a spiking network. Give every state zeros before the first step, and afterwards what the
step before returned for it. The value of an output is the sum over the steps of what the graph returns for it, over
D(t), the number of steps so far in which the input was on; an output that does not vary is returned as it is."""
LOOP_TEXT = """A spiking network over `timesteps` steps: the values of its outputs after the last one, and how many
events each source had."""


@dataclass(frozen=True, kw_only=True)
class StepModel:
    """A graph, and which of its values mean what: outputs, states, what sources emit and counts of clamped entries."""

    model: onnx.ModelProto
    outputs: Mapping[str, str]
    states: Sequence[State]
    spikes: Mapping[str, str]
    clamped: Mapping[str, str]


def extents(shape: Sequence[int], batch: int | None) -> list[int | str]:
    """A shape for a graph's inputs and outputs: N samples on the batch axis."""
    return [("N" if d == 1 else f"{d}*N") if i == batch else d for i, d in enumerate(shape)]


def info(g: Graph, name: str, shape: Sequence[int], batch: int | None) -> onnx.ValueInfoProto:
    """The description of an input or output."""
    return helper.make_tensor_value_info(name, tensor_type(g.kind(name)), extents(shape, batch))


def started(network: Network, float_type: Any, taken: Sequence[str]) -> tuple[Graph, dict[str, str]]:
    """A graph that has the network's inputs, and their names."""
    names = {*taken, *(node.name for node in network.nodes)}
    shapes = {node.name: tuple(node.shape) for node in network.nodes}
    g = Graph(Shared(float_type=np.dtype(float_type), names=names, shapes=shapes))
    for node in network.inputs:
        g.declare(node.name, g.float_type if node.dtype == "float32" else node.dtype)
    return g, {node.name: node.name for node in network.inputs}


def clock(network: Network, g: Graph, step: str, outside: Graph, *, counts_samples: bool) -> Clock:
    """The values that tell a step where it stands; `step` is the number of steps before it."""
    g.scope = outside.scope = "clock"
    now, limit = g.op("Add", step, 1), network.schedule.limit
    first = g.op("Equal", step, 0, kind=bool)
    samples = samples_of(network, outside) if counts_samples else ""
    if limit is None:
        return Clock(step=now, first=first, before=step, divisor=now, gate=None, samples=samples)
    gate = g.floating(g.op("Less", step, limit, kind=bool))
    before, divisor = g.op("Min", step, limit), g.op("Min", now, limit)
    return Clock(step=now, first=first, before=before, divisor=divisor, gate=gate, samples=samples)


def samples_of(network: Network, g: Graph) -> str:
    """The number of samples that the graph is given."""
    first = network.sampled
    if first.batch is None:
        return g.constant(np.int64(1))
    return g.op("Gather", g.op("Shape", first.name, kind=np.int64), g.constant(np.int64(first.batch)))


def counts_samples(network: Network) -> bool:
    """Whether a node needs to know how many samples there are."""
    return any(isinstance(node, Repeat) or (isinstance(node, Neuron) and node.shared) for node in network.nodes)


def sources(network: Network) -> list[Node]:
    """What emits events."""
    return [n for n in network.nodes if isinstance(n, (Spiking, Differential)) and n.name in network.varying]


def model_of(
    g: Graph,
    name: str,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    text: str,
    interface: Any,
) -> onnx.ModelProto:
    """The finished model. Raises EmitError where it is too large for one file."""
    if sum(len(tensor.raw_data) for tensor in g.shared.initializers) > LIMIT:
        raise EmitError("the network is larger than 2 GiB, which an ONNX file can't hold", cure="emit torch")
    graph = helper.make_graph(g.nodes, name, inputs, outputs, g.shared.initializers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="snncc"
    )
    model.doc_string = text.replace("\n", " ")
    described = msgspec.json.encode(interface, order="deterministic").decode()
    helper.set_model_props(model, {"snncc": described})
    return model


def step_model(network: Network, *, name: str = "network", float_type: Any = np.float32) -> StepModel:
    """One step: inputs and states in; outputs, states, what every source emits and clamped entries out.

    Every state is zero before the first step. Raises EmitError with all that ONNX cannot say.
    """
    refuse(network)
    g, values = started(network, float_type, [])
    step = g.declare(g.fresh("step"), np.int64)
    at = clock(network, g, step, g, counts_samples=counts_samples(network))
    names = {node.name: node.name for node in network.nodes}
    writer = Writer(network=network, g=g, outside=g, clock=at, names=names, values=values)
    writer.write()
    after = g.rename_last(g.op("Identity", at.step), g.fresh("step/next"))
    states = [State(before=step, after=after, kind=np.dtype(np.int64), shape=(), batch=None), *writer.states]
    outputs, spikes, clamped = {}, {}, {}
    inputs = [info(g, node.name, node.shape, node.batch) for node in network.inputs]
    results = []
    for output in network.outputs:
        outputs[output] = shown(g, network, writer.values[output], output)
        results.append(info(g, outputs[output], network[output].shape, network[output].batch))
    for node in sources(network):
        spikes[node.name] = copied(g, writer.events(node), f"{node.name}/spikes")
        results.append(info(g, spikes[node.name], node.shape, node.batch))
    for source, value in writer.clamped.items():
        clamped[source] = copied(g, value, f"{source}/clamped")
        results.append(info(g, clamped[source], (), None))
    for state in states:
        inputs.append(info(g, state.before, state.shape, state.batch))
        results.append(info(g, state.after, state.shape, state.batch))
    pairs = {state.before: state.after for state in states}
    interface = {"outputs": outputs, "states": pairs, "spikes": spikes, "clamped": clamped}
    model = model_of(g, name, inputs, results, STEP_TEXT, interface)
    return StepModel(model=model, outputs=outputs, states=states, spikes=spikes, clamped=clamped)


def copied(g: Graph, value: str, name: str) -> str:
    """A value under another name, so that it can be an output of its own."""
    return g.rename_last(g.op("Identity", value), g.fresh(name))


def shown(g: Graph, network: Network, value: str, output: str) -> str:
    """The value of an output under the output's name, where no input of the graph has that."""
    if isinstance(network[output], Input):
        return copied(g, value, output)
    return output if value == output else g.rename_last(g.op("Identity", value), output)


def zeros(g: Graph, state: State, samples: str) -> str:
    """A state before the first step, for the number of samples that the graph is given."""
    if state.batch is None:
        return g.constant(np.zeros(state.shape, state.kind))
    count = g.op("Mul", g.op("Reshape", samples, g.shape([1])), state.shape[state.batch])
    parts = [count if i == state.batch else g.shape([d]) for i, d in enumerate(state.shape)]
    shape = parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=0)
    fill = helper.make_tensor("value", tensor_type(state.kind), [1], [0])
    return g.op("ConstantOfShape", shape, kind=state.kind, value=fill)


def loop_model(network: Network, *, name: str = "network", float_type: Any = np.float32) -> onnx.ModelProto:
    """T steps: the inputs and `timesteps` in; the outputs after the last step and the events of every source out.

    Raises EmitError with all that ONNX cannot say.
    """
    refuse(network)
    g, values = started(network, float_type, [])
    timesteps = g.declare(g.fresh("timesteps"), np.int64)
    body = g.inner()
    step, going = body.declare(body.fresh("step"), np.int64), body.declare(body.fresh("going"), bool)
    at = clock(network, body, step, g, counts_samples=True)
    inside = network.varying - values.keys()
    names = {n.name: g.fresh(f"step/{n.name}") if n.name in inside else n.name for n in network.nodes}
    writer = Writer(network=network, g=body, outside=g, clock=at, names=names, values=values)
    writer.write()
    varying = [output for output in network.outputs if output in network.varying]
    sums = {output: output_sum(writer, network[output], step) for output in varying}
    counts = {node.name: event_sum(writer, node) for node in sources(network)}
    body_of_loop = loop_body(body, writer.states, step, going)
    g.scope = "loop"
    starts = [zeros(g, state, at.samples) for state in writer.states]
    ends = g.several("Loop", [timesteps, None, *starts], [s.kind for s in writer.states], body=body_of_loop)
    found = dict(zip([state.before for state in writer.states], ends, strict=True))
    count = g.floating(steps_read(network, g, timesteps))
    made, outputs, events = [], {}, {}
    for output in network.outputs:
        node = network[output]
        value = g.op("Div", found[sums[output]], count) if output in sums else writer.values[output]
        outputs[output] = shown(g, network, value, output)
        made.append(info(g, outputs[output], node.shape, node.batch))
    for source, total in counts.items():
        events[source] = copied(g, found[total], f"{source}/events")
        made.append(info(g, events[source], network[source].shape, network[source].batch))
    given = [*(info(g, node.name, node.shape, node.batch) for node in network.inputs), info(g, timesteps, (), None)]
    interface = {"timesteps": timesteps, "outputs": outputs, "events": events}
    return model_of(g, name, given, made, LOOP_TEXT, interface)


def loop_body(body: Graph, states: Sequence[State], step: str, going: str) -> onnx.GraphProto:
    """One step as the body of a Loop that never ends itself: the step's number and the states in, the states out."""
    last = body.fresh("going/next")
    return helper.make_graph(
        [*body.nodes, helper.make_node("Identity", [going], [last])],
        "step",
        [
            helper.make_tensor_value_info(step, tensor_type(np.int64), []),
            helper.make_tensor_value_info(going, tensor_type(bool), []),
            *(info(body, s.before, s.shape, s.batch) for s in states),
        ],
        [
            helper.make_tensor_value_info(last, tensor_type(bool), []),
            *(info(body, s.after, s.shape, s.batch) for s in states),
        ],
    )


def output_sum(writer: Writer, node: Node, step: str) -> str:
    """A state of the loop: the running sum of an output from the step on at which the read-out begins."""
    g, after = writer.g, writer.network.schedule.readout_after
    g.scope = node.name
    before = writer.state(node, "sum", g.float_type, tuple(node.shape), node.batch)
    total = g.op("Add", before, g.floating(writer.values[node.name]))
    if after:
        total = g.where(g.op("Equal", step, after, kind=bool), writer.values[node.name], total)
    writer.keep(before, total)
    return before


def event_sum(writer: Writer, node: Node) -> str:
    """A state of the loop: how often each entry of a source was not zero."""
    g = writer.g
    g.scope = node.name
    before = writer.state(node, "counted", np.int64, tuple(node.shape), node.batch)
    silent = g.op("Equal", writer.events(node), 0.0, kind=bool)
    writer.keep(before, g.op("Add", before, g.cast(g.op("Not", silent), np.int64)))
    return before


def steps_read(network: Network, g: Graph, timesteps: str) -> str:
    """D(T), without the steps before the read-out begins."""
    schedule = network.schedule
    if schedule.limit is not None:
        return g.op("Min", timesteps, schedule.limit)
    after = schedule.readout_after
    if not after:
        return timesteps
    late = g.op("Greater", timesteps, after, kind=bool)
    return g.where(late, g.op("Sub", timesteps, after), timesteps)


def onnx_files(network: Network, name: str) -> dict[str, bytes]:
    """onnx/step.onnx and onnx/loop.onnx. Raises EmitError with all that ONNX cannot say."""
    step, loop = step_model(network, name=name).model, loop_model(network, name=name)
    made = {"onnx/step.onnx": step, "onnx/loop.onnx": loop}
    return {path: model.SerializeToString(deterministic=True) for path, model in made.items()}
