# SPDX-License-Identifier: Apache-2.0
"""What a target makes of a spiking network: the one place that knows the targets of `convert` and `emit`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal, TypeAlias, get_args

from snncc.ann.truth import Truth
from snncc.backends.c.package import GOLDEN_SAMPLES, package
from snncc.backends.nir.export import nir_files
from snncc.backends.torch.integer import emit_integer
from snncc.backends.torch.module import emit as torch_source
from snncc.bundles.integer_files import network_files
from snncc.data.dataset import Dataset
from snncc.errors import EmitError
from snncc.execute.onnx.step import onnx_files
from snncc.integer import lower
from snncc.integer.network import IntegerNetwork
from snncc.integer.part import IntegerPart, integer_part
from snncc.integer.weights import Precision
from snncc.ir.network import Network

Target = Literal["torch", "integer", "onnx", "nir"]
TARGETS = get_args(Target)
#: The targets with unit spikes: a threshold per neuron can't be absorbed through a convolution.
UNIT_SPIKES = ("integer", "nir")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is emitted: a network, what it is called, and the samples and the ANN that it is compared on.

    calibration: the samples by which numbers are rounded; a bundle that is opened again has its own samples only.
    """

    network: Network
    name: str
    method: str
    timesteps: int
    samples: Dataset
    truth: Truth
    calibration: Dataset | None = None


@dataclass(frozen=True, kw_only=True)
class EmitOptions:
    """The options of all targets.

    allow: the lowerings that NIR needs and that change the network's meaning, by name (`backends.nir.lowering`).
    unit_thresholds: weights absorb the thresholds, so that NIR's readers with one threshold per layer can take them.
    integer: with `torch`, also the module of the integer network. weights, max_timesteps: of the integer network.
    """

    allow: tuple[str, ...] = ()
    unit_thresholds: bool = False
    integer: bool = False
    weights: Precision = "int8"
    max_timesteps: int = 256


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """Files by their path in the bundle, what the user must be told, and the integer network if there is one."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    integer: IntegerPart | None = None


#: What a user's own target makes of a network; a file's path begins with the target's name and a slash.
Emitter: TypeAlias = Callable[[Source, EmitOptions], Emitted]


def refuse_target(target: str, own: Mapping[str, Emitter]) -> None:
    """Raise EmitError for a target that does not exist, and for one of a user's own whose name is taken."""
    if taken := [name for name in own if name in TARGETS]:
        raise EmitError(f"there is a target {taken[0]} already", cure="give yours another name")
    if target not in TARGETS and target not in own:
        raise EmitError(f"there is no target {target!r}", cure=f"emit {', '.join((*TARGETS, *own))}")


def emit_all(targets: Iterable[str], source: Source, options: EmitOptions, own: Mapping[str, Emitter]) -> Emitted:
    """What several targets, ours and a user's own, make of a network, put together."""
    made = [
        own_files(target, source, options, own[target]) if target in own else emit_files(target, source, options)
        for target in dict.fromkeys(targets)
    ]
    return Emitted(
        files={name: data for one in made for name, data in one.files.items()},
        notes=tuple(dict.fromkeys(note for one in made for note in one.notes)),
        integer=next((one.integer for one in reversed(made) if one.integer), None),
    )


def own_files(target: str, source: Source, options: EmitOptions, emitter: Emitter) -> Emitted:
    """The files of a user's own target; raises EmitError for one that lies elsewhere in the bundle."""
    made = emitter(source, options)
    for name in made.files:
        path = PurePosixPath(name)
        if path.parts[0] != target or len(path.parts) < 2 or ".." in path.parts or str(path) != name:
            raise EmitError(f"target {target} emits {name!r}", cure=f"let the path begin with {target}/")
    return made


def emit_files(target: str, source: Source, options: EmitOptions) -> Emitted:
    """The files of a target, and beside them the analog tail of the network, which is no part of them."""
    made, tail = target_files(target, source, options), source.network.analog_tail
    if target == "torch" or tail is None:
        return made
    model = source.network.arrays[tail.model].tobytes()
    note = f"{target}/analog_tail.onnx is the part behind the network ({tail}): run it in onnxruntime on the outputs"
    return replace(made, files={**made.files, f"{target}/analog_tail.onnx": model}, notes=(*made.notes, note))


def target_files(target: str, source: Source, options: EmitOptions) -> Emitted:
    """The files of a target; those of `torch` are part of every bundle. Raises EmitError for what it can't say."""
    network = source.network
    if target == "torch":
        title = f"{source.name} by {source.method}, design T {source.timesteps}"
        text = torch_source(network, title=title, timesteps=source.timesteps)
        made = integer_module(source, options) if options.integer else Emitted()
        return replace(made, files={"model.py": text.encode(), **made.files})
    if target == "onnx":
        return Emitted(files=onnx_files(network, source.name))
    if target == "integer":
        return integer_package(source, options)
    if target == "nir":
        return nir_package(source, options)
    raise EmitError(f"there is no target {target!r}", cure=f"emit {', '.join(TARGETS)}")


def integer_module(source: Source, options: EmitOptions) -> Emitted:
    """The integer network and a PyTorch module of it, under integer/."""
    integer, made = lowered(source, options)
    title = f"{source.name} by {source.method} in whole numbers, weights {integer.weights}"
    text = emit_integer(integer, title=title, timesteps=source.timesteps)
    return replace(made, files={**made.files, "integer/model.py": text.encode()})


def integer_package(source: Source, options: EmitOptions) -> Emitted:
    """C99 that needs nothing, under integer/; see docs/deploy.md."""
    integer, made = lowered(source, options)
    samples = next(iter(source.samples.batches(GOLDEN_SAMPLES)))
    files = package(integer, samples, name=source.name, method=source.method, timesteps=source.timesteps)
    return replace(made, files={**made.files, **{f"integer/{name}": data for name, data in files.items()}})


def lowered(source: Source, options: EmitOptions) -> tuple[IntegerNetwork, Emitted]:
    """The integer network and its own files."""
    seen = source.calibration or source.samples
    integer = lower(source.network, seen, weights=options.weights, max_timesteps=options.max_timesteps)
    return integer, Emitted(files=network_files(integer), notes=integer.notes, integer=integer_part(integer))


def nir_package(source: Source, options: EmitOptions) -> Emitted:
    """A NIR graph and what its lowerings changed, under nir/; see docs/exchange.md."""
    files, notes = nir_files(
        source.network,
        source.samples,
        source.timesteps,
        allow=options.allow,
        unit_thresholds=options.unit_thresholds,
    )
    return Emitted(files=files, notes=notes)
