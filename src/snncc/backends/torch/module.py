# SPDX-License-Identifier: Apache-2.0
"""The backend `torch_module`: the source of a PyTorch module that needs torch, safetensors and its weights, alone."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence

from torch import nn

from snncc.backends.torch import runtime as torch_runtime
from snncc.backends.torch import runtime_single as torch_runtime_single
from snncc.backends.torch.forward import HEADINGS, Forward
from snncc.backends.torch.own_neurons import own_scans
from snncc.backends.torch.python_text import Call, Names, escaped, leaf_modules, remark, statement
from snncc.backends.torch.sources import Definition, Import, closure, import_lines, names_used, table
from snncc.backends.torch.tail import tail_lines, tail_text
from snncc.errors import InvariantBroken
from snncc.functions.torch.table import MODULES
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Foreign, Input, Node, Spiking
from snncc.neurons import random, state
from snncc.neurons.adaptive_if import scan as adaptive_if
from snncc.neurons.encoder import scan as encoder
from snncc.neurons.integrate_and_fire import scan as integrate_and_fire
from snncc.neurons.leaky_if import scan as leaky_if
from snncc.neurons.msat import scan as msat
from snncc.neurons.multi_threshold import scan as multi_threshold
from snncc.neurons.signed_if import scan as signed_if

#: Where neurons are defined, in the order in which `model.py` has them.
NEURON_MODULES = (
    state,
    integrate_and_fire,
    signed_if,
    multi_threshold,
    leaky_if,
    random,
    adaptive_if,
    msat,
    encoder,
)
#: What the class itself imports.
IMPORTS = {
    "Path": Import("pathlib", "Path", "Path"),
    "Tensor": Import("torch", "Tensor", "Tensor"),
    "load_file": Import("safetensors.torch", "load_file", "load_file"),
    "nn": Import("torch", "nn", "nn"),
    "torch": Import("torch", "", "torch"),
}
#: Names of the class and of `forward`.
# fmt: off
OWN = (
    "D", "F", "N", "SpikingNetwork", "T", "arrays", "first_sample", "gate", "gates",
    "math", "model", "parts", "self", "t", "timesteps",
)
# fmt: on

DOCUMENT = '''"""{title}

A spiking network compiled from a trained ANN by snncc. It needs torch, safetensors and the file weights.safetensors,
which lies beside this one{foreign}.

    from model import SpikingNetwork

    network = SpikingNetwork()
    y = network({arguments}, timesteps={timesteps})

{inputs}
{outputs}

Spikes: {neurons}. {schedule}
D(t) is the number of steps up to t in which the input is on. The sum of what an output emits in T steps, divided by
D(T), approximates the ANN's output; `forward` returns this.

The network has no loop through time, so it is computed layer by layer and not step by step, with the same result:

    steady    what is the same at every step is computed once (the layers before the first neuron)
    series    neurons integrate and fire step by step; every other layer sees {series}
    mean      behind the last neuron all is linear or acts on means, so it is computed once, at T
{analog}{tail}
Memory grows with samples times steps. Every name in weights.safetensors appears in `SpikingNetwork.__init__`.
"""
'''
ANALOG = """
Where f has no spiking counterpart the layer is analog: it emits y[t] = G[t] - G[t-1] with G[t] = D(t) f(X[t] / D(t)),
X the running sum of its input; the running mean of y is then f of the running mean of x.
"""


def emit(network: Network, *, title: str, timesteps: int) -> str:
    """The source of `model.py` for a network in its SNN stage; `timesteps` is the default of `forward`."""
    if network.stage != "snn":
        raise InvariantBroken(f"a torch module of a network in its {network.stage} stage")
    single = all(node.batch is None for node in network.nodes)
    known = table([*MODULES, *NEURON_MODULES, torch_runtime])
    if single:
        known |= table([torch_runtime_single])
    own = own_scans(network, known)
    known |= own
    # Once to see which functions are needed, once with all names free that these leave free.
    parts = closure(used_by(written(network, known, timesteps)[1]), known)
    forward, code = written(network, {part.name for part in parts}, timesteps)
    imports = {i for part in parts for i in part.imports}
    imports |= {IMPORTS[name] for name in used_by(code) & IMPORTS.keys()}
    text = [document(forward, title, timesteps), import_lines(imports), *sections(parts, own), "", "", code]
    return "\n".join(text)


def used_by(code: str) -> frozenset[str]:
    """The names that the class needs."""
    return names_used(ast.parse(code))


def written(network: Network, taken: Iterable[str], timesteps: int) -> tuple[Forward, str]:
    """The class, with identifiers other than `taken`."""
    lambdas = [f"u{i + 1}" for i in range(max(len(node.inputs) for node in network.nodes))]
    local, attributes = Names([*taken, *IMPORTS, *OWN, *lambdas]), Names([*dir(nn.Module()), "sample", "tail"])
    paths = leaf_modules(node.name for node in network.nodes)
    own = {}
    for node in network.nodes:
        alone = isinstance(node, Input) and len(network.inputs) == 1
        own[node.name] = local.unique("x") if alone else local.made(paths[node.name], kind(node))
    buffers = {}
    for key in dict.fromkeys([*(a for node in network.nodes for a in node.array_names()), *sorted(network.arrays)]):
        owner, _, suffix = key.rpartition("/")
        buffers[key] = attributes.made(f"{own[owner]}_{suffix}" if owner in own else key, "array", longest=60)
    forward = Forward(network, local, own, buffers)
    forward.run()
    return forward, "\n".join([*class_lines(forward, timesteps), ""])


def kind(node: Node) -> str:
    """What leads an identifier whose node's name gives none."""
    return "neuron" if isinstance(node, Spiking) else "x" if isinstance(node, Input) else type(node).__name__.lower()


def sections(parts: Sequence[Definition], own: Iterable[str]) -> list[str]:
    """The sources, under three headings."""
    neurons, time = {*table(NEURON_MODULES), *own}, {**table([torch_runtime]), **table([torch_runtime_single])}
    groups: dict[str, list[str]] = {"Layers": [], "Neurons": [], "Time": []}
    for part in parts:
        group = "Neurons" if part.name in neurons else "Time" if part.name in time else "Layers"
        groups[group].append(part.source)
    lines = []
    for group, sources in groups.items():
        if sources:
            lines += ["", f"# {group} (from snncc, Apache-2.0)", "", "", "\n\n\n".join(sources), ""]
    return lines[:-1]


def shown(node: Node, *, output: bool = False) -> str:
    """Type and shape of an input or output of `forward`, N samples."""
    shape = [str(d) for d in node.shape]
    if node.batch is not None:
        extent = node.shape[node.batch]
        shape[node.batch] = "N" if extent == 1 else f"{extent} N"
    elif output:  # samples that were computed one by one are stacked
        shape = ["N", *shape]
    elif shape:
        shape[0] = "N"
    return f"{node.dtype} [{', '.join(shape)}]"


def document(forward: Forward, title: str, timesteps: int) -> str:
    """The module's docstring."""
    net = forward.network
    foreign = sorted({quiet(f.operator) for n in net.nodes if isinstance(f := getattr(n, "function", n), Foreign)})
    foreign += ["the analog tail"] if net.analog_tail else []
    analog = any(isinstance(n, Differential) for n in net.nodes)
    limit = net.schedule.limit
    steps = "at every step" if limit is None else "at the first step" if limit == 1 else f"at the first {limit} steps"
    text = DOCUMENT.format(
        title=quiet(title),
        foreign=f"; also onnxruntime, for {', '.join(foreign)}" if foreign else "",
        arguments=", ".join(forward.values[n.name] for n in net.inputs),
        timesteps=timesteps,
        inputs=f"Inputs: {', '.join(f'{forward.values[n.name]} {shown(n)}' for n in net.inputs)}.",
        outputs=outputs(net),
        neurons=neurons_in_words(net),
        schedule=f"The input and every bias enter {steps}.",
        series="each step of one sample" if forward.single else "T steps folded into the batch",
        analog=ANALOG if analog else "",
        tail=tail_text(net.analog_tail),
    )
    return "\n".join(line.rstrip() for line in text.split("\n"))


def neurons_in_words(net: Network) -> str:
    """The kinds of neurons and encoders, and how many layers of each."""
    counts = Counter(type(n).__name__ for n in net.nodes if isinstance(n, Spiking))
    return ", ".join(f"{name} ({n} layer{'s' * (n > 1)})" for name, n in sorted(counts.items())) or "none"


def quiet(text: str) -> str:
    """Foreign text as part of a docstring."""
    return remark(text, 110).replace("\\", "\\\\").replace('"', "'")


def outputs(net: Network) -> str:
    """The outputs in words."""
    if len(net.outputs) == 1:
        return f"Output: {shown(net[net.outputs[0]], output=True)}."
    return "\n".join(
        ["Outputs, a dict:", *[f"    {quiet(name)}: {shown(net[name], output=True)}" for name in net.outputs]]
    )


def class_lines(forward: Forward, timesteps: int) -> list[str]:
    """`class SpikingNetwork`."""
    net = forward.network
    lines = ["class SpikingNetwork(nn.Module):", '    """The network; see the top of this file."""', ""]
    lines += ["    def __init__(self, weights: str | Path | None = None) -> None:", "        super().__init__()"]
    if net.arrays:
        lines.append('        arrays = load_file(weights or Path(__file__).with_name("weights.safetensors"))')
    for key, name in forward.buffers.items():
        comment = str(list(net.arrays[key].shape))
        array = Call("arrays", (escaped(key),), brackets="[]")
        lines += statement(f"self.{name} = ", Call("nn.Buffer", (array,)), comment)
    typed = [f"{forward.values[node.name]}: Tensor" for node in net.inputs]
    random = any("first_sample" in line for line in forward.lines["series"])
    several = len(net.outputs) > 1
    result = "dict[str, Tensor]" if several else "Tensor"
    parameters = [*typed, f"timesteps: int = {timesteps}", *(["first_sample: int = 0"] if random else [])]
    lines += ["", *definition("forward", parameters, result)]
    lines += ['        """The sum of the output over `timesteps` steps, divided by D(T).']
    if random:
        lines += [
            "",
            "        `first_sample` is the number of the first sample: each number has random streams of its own.",
        ]
        lines += ['        """']
    else:
        lines[-1] += '"""'
    lines += ["        if timesteps < 1:", '            raise ValueError("timesteps must be at least 1")']
    if forward.single:
        lines += one_by_one(forward, random)
        joined = "{name: torch.stack([part[name] for part in parts]) for name in parts[0]}"
        lines += [f"        return {joined if several else 'torch.stack(parts)'}", ""]
        parameters = [*typed, "timesteps: int", *(["first_sample: int"] if random else [])]
        lines += [*definition("sample", parameters, result), '        """One sample."""']
    return lines + body(forward) + tail_lines(forward)


def one_by_one(forward: Forward, random: bool) -> list[str]:
    """The loop over samples of a network without an axis for them; an input of rank 0 is shared by all."""
    named = [(forward.values[node.name], bool(node.shape)) for node in forward.network.inputs]
    pieces = [f"{name}[i : i + 1]" if split else name for name, split in named]
    count = next((f"len({name})" for name, split in named if split), "1")
    one = Call("self.sample", (*pieces, "timesteps", *(["first_sample + i"] if random else [])))
    flat = f"        parts = [{one} for i in range({count})]"
    if len(flat) <= 120:
        return [flat]
    return ["        parts = [", *statement("", one, indent=12), f"            for i in range({count})", "        ]"]


def definition(name: str, parameters: Sequence[str], result: str) -> list[str]:
    """The first lines of a method."""
    own = ["self", *parameters]
    flat = f"    def {name}({', '.join(own)}) -> {result}:"
    if len(flat) <= 120:
        return [flat]
    inner = f"        {', '.join(own)}"
    rows = [inner] if len(inner) <= 120 else [f"        {p}," for p in own]
    return [f"    def {name}(", *rows, f"    ) -> {result}:"]


def body(forward: Forward) -> list[str]:
    """Everything in `forward` that computes."""
    net = forward.network
    written = [line for part in forward.lines.values() for line in part]
    used = names_used(ast.parse("\n".join(["def f():", *written, "        pass"])))
    limit = net.schedule.limit
    lines = []
    if used & {"T", "D", "gates"}:
        lines.append("        T = timesteps")
    if "N" in used:
        first = net.sampled
        lines.append(f"        N = {forward.values[first.name]}.shape[{first.batch}]")
    if "gates" in used:
        on = "[1.0] * T" if limit is None else f"[float(t <= {limit}) for t in range(1, T + 1)]"
        lines.append(f"        gates = {on}  # the input and every bias enter at step t times gates[t]")
    if "D" in used:
        at = "t" if limit is None else f"min(t, {limit})"
        lines.append(f"        D = [float({at}) for t in range(1, T + 1)]  # D(1), ..., D(T)")
    for layout, heading in HEADINGS.items():
        if forward.lines[layout]:
            lines += ["", f"        # {heading}", *forward.lines[layout]]
    results = [forward.value(name) for name in net.outputs]
    if len(results) == 1:
        return [*lines, f"        return {results[0]}"]
    rows = [f"            {escaped(name)}: {value}," for name, value in zip(net.outputs, results, strict=True)]
    return [*lines, "        return {", *rows, "        }"]
