# SPDX-License-Identifier: Apache-2.0
"""What a pass is: a pure function from network to network with a declared contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Lock
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
import numpy as np

from snncc.calibrate.statistics import Request, Summary, collect
from snncc.data.dataset import Dataset
from snncc.errors import RecipeError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Conv, ConvTranspose, Input, Linear, Node
from snncc.transform.values import AnnValues

Granularity = Literal["layer", "channel", "neuron"]
Percentile = Annotated[float, msgspec.Meta(gt=0, le=100)]
#: A sample's power may be so many times what this share of at least so many samples stays below.
OUT_OF_PROPORTION, USUAL, LEAST_SAMPLES = 25.0, 0.95, 20


class Fidelity(StrEnum):
    """What a pass promises: the same function (exact), a bounded error, or a result to be measured."""

    EXACT = "exact"
    BOUNDED = "bounded"
    EMPIRICAL = "empirical"


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line for the report: what a pass did to a node that a user must know of."""

    kind: Literal["approximation", "analog", "information"]
    node: str
    text: str


class Statistics(dict[tuple[Request, int], Summary]):
    """Calibration statistics by request and how often passes had moved the value by then, and `powers`, the mean square
    of a value in each sample; conversions of one network on the same samples that run at the same time may share them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lock = Lock()
        self.powers: dict[tuple[str, int], np.ndarray] = {}


@dataclass(slots=True, kw_only=True)
class Context:
    """What a pass gets beside the network.

    `ann`: the network as it was before neurons were put in, whose values are the truth. `calibration`: the samples.
    `timesteps`: the design T. `seed`: of every random choice. `notes`: the record sink. `progress(text, done, total)`
    is told of work that lasts. `bound`: the error that a BOUNDED pass promises. `fidelity`: what the running pass
    promises; a pass that is asked for an approximation lowers it.
    """

    values: AnnValues
    calibration: Dataset
    timesteps: int
    seed: int
    batch_size: int = 64
    notes: list[Note] = field(default_factory=list)
    bound: float | None = None
    fidelity: Fidelity = Fidelity.EXACT
    progress: Callable[[str, int, int], None] = lambda text, done, total: None
    cache: Statistics = field(default_factory=Statistics)
    usual: dict[frozenset[str], tuple[Dataset, Statistics]] = field(default_factory=dict)

    @property
    def ann(self) -> Network:
        """The network in its ANN stage."""
        return self.values.network

    def note(self, kind: Literal["approximation", "analog", "information"], node: str, text: str) -> None:
        """Write a line into the record of the running pass."""
        self.notes.append(Note(kind=kind, node=node, text=text))

    def request(
        self, name: str, granularity: Granularity, *, histogram: bool = False, absolute: bool = False
    ) -> Request:
        """The request for a statistic of an ANN value."""
        axis = channel_axis(self.ann, self.ann[name])
        batch = self.values.batch_axis(name)
        if granularity == "channel" and len(self.ann[name].shape) == 1 and not self.values.one_at_a_time:
            granularity = "layer"  # nothing but samples
        shift = 1 if self.values.one_at_a_time else 0
        return Request(name, granularity, axis + shift, 0 if batch is None else batch, histogram, absolute)

    def statistics(self, requests: Collection[Request]) -> dict[Request, Summary]:
        """Statistics over the calibration samples; one pass over the data for all that are not known yet."""
        keys = {r: (r, self.values.diverged.get(r.value, 0)) for r in requests}
        with self.cache.lock:
            missing = [r for r, key in keys.items() if key not in self.cache]
            if missing:
                total = len(self.calibration)
                batches = self.calibration.batches(self.batch_size)
                told = lambda done: self.progress("calibrating", done, total)  # noqa: E731
                powers: dict[str, np.ndarray] = {}
                found = collect(self.values, batches, missing, progress=told, powers=powers)
                self.cache |= {keys[r]: summary for r, summary in found.items()}
                self.cache.powers |= {(name, self.values.diverged.get(name, 0)): p for name, p in powers.items()}
            return {r: self.cache[key] for r, key in keys.items()}

    def level(
        self,
        name: str,
        percentile: float = 100.0,
        granularity: Granularity = "layer",
        *,
        absolute: bool = False,
        nonzero: bool = False,
    ) -> Array:
        """A percentile of an ANN value over the calibration samples; 100 is the maximum. See `levels`."""
        chosen = (name,) if absolute else ()
        return self.levels({name: name}, percentile, granularity, absolute=chosen, nonzero=nonzero)[name]

    def levels(
        self,
        values: Mapping[str, str],
        percentile: float,
        granularity: Granularity,
        *,
        absolute: Collection[str] = (),
        nonzero: bool = False,
    ) -> dict[str, Array]:
        """The percentiles of several ANN values, found together: what a threshold at that percentile is set to.

        values: key -> name of the value; keys in `absolute` take magnitudes; `nonzero` leaves zeros out. Results by
        key, (1, ...), with extent 1 where one number is shared.
        """
        histogram = percentile < 100
        wanted = {
            key: self.request(name, granularity, histogram=histogram, absolute=key in absolute)
            for key, name in values.items()
        }
        found = self.statistics(wanted.values())
        levels = {
            key: found[r].percentile(percentile, nonzero=nonzero) if histogram else found[r].max
            for key, r in wanted.items()
        }
        return {key: self.shaped(level, self.ann[values[key]]) for key, level in levels.items()}

    def with_samples(self, count: int) -> Context:
        """The context of a pass that takes the first `count` calibration samples only, with statistics of their own."""
        return replace(self, calibration=self.calibration.head(count), cache=Statistics(), usual={})

    def typical(self, names: Sequence[str]) -> Context:
        """The context without calibration samples that are out of all proportion, which squared errors would follow.

        A sample is left out where the power of one of the values `names` exceeds 25 times that which 95 % of the
        samples stay below. Fewer than 20 samples are all kept.
        """
        judged = frozenset(names)
        if judged not in self.usual:
            kept = self.in_proportion(names)
            if kept.all():
                self.usual[judged] = self.calibration, self.cache
            else:
                left = f"{len(kept) - int(kept.sum())} of {len(kept)} calibration samples left out"
                self.note("information", names[0], f"{left}: their activations are out of all proportion")
                self.usual[judged] = self.calibration.subset(np.nonzero(kept)[0]), Statistics()
        calibration, cache = self.usual[judged]
        return replace(self, calibration=calibration, cache=cache)

    def in_proportion(self, names: Sequence[str]) -> np.ndarray:
        """Which calibration samples `typical` keeps."""
        count = len(self.calibration)
        if count < LEAST_SAMPLES or not names:
            return np.ones(count, bool)
        keys = {n: (n, self.values.diverged.get(n, 0)) for n in names if self.values.batch_axis(n) is not None}
        if not keys:
            return np.ones(count, bool)
        self.statistics([self.request(n, "layer") for n, key in keys.items() if key not in self.cache.powers])
        power = np.stack([self.cache.powers[key] for key in keys.values()])
        usual = np.quantile(power, USUAL, axis=1, method="lower", keepdims=True)
        kept: np.ndarray = ~((power > OUT_OF_PROPORTION * usual) & (usual > 0)).any(0)
        return kept

    def shaped(self, statistic: Any, node: Node) -> Any:
        """A statistic's array with the rank of the node, extent 1 on the samples' axis so that it broadcasts.

        Entries of one sample that the graph merged into that axis share the largest.
        """
        if self.values.one_at_a_time:
            return statistic[0]
        return statistic if node.batch is None else statistic.max(axis=node.batch, keepdims=True)


def channel_axis(network: Network, node: Node) -> int:
    """The axis along which a value has channels: where the nearest weighted node behind it put them."""
    rank, name = len(node.shape), node.name
    while not isinstance(network[name], Input) and network[name].inputs:
        source = network[name]
        if len(source.shape) != rank:
            break
        if isinstance(source, Conv | ConvTranspose) and node.batch != 1:
            return 1
        if isinstance(source, Linear) and node.batch != source.axis:
            return source.axis
        name = source.inputs[0]
    axis = min(1, rank - 1) if rank != 3 else 2
    return axis if axis != node.batch else next((i for i in range(rank) if i != axis), axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A pass and its contract; `options` is the type of its keyword arguments."""

    name: str
    function: Callable[..., Network]
    fidelity: Fidelity
    needs: frozenset[str]
    gives: frozenset[str]
    options: type[msgspec.Struct]
    #: Whether what it does depends on the design T; `compare` converts anew for each T then.
    uses_timesteps: bool = False
    #: Whether the spikes of what it makes end: T is then the step after which none fires, unless it is asked for.
    settles: bool = False

    @property
    def doc(self) -> str:
        """The docstring, without indentation."""
        return inspect.getdoc(self.function) or ""

    def decode(self, where: str, given: dict[str, Any]) -> msgspec.Struct:
        """The options as the pass wants them; raises RecipeError with what exists."""
        known = [f.name for f in msgspec.structs.fields(self.options)]
        if unknown := sorted(set(given) - set(known)):
            raise RecipeError(
                f"{where}: pass {self.name} has no option {unknown[0]!r}",
                cure=f"its options: {', '.join(known) or 'none'}",
            )
        try:
            return msgspec.convert(given, self.options)
        except msgspec.ValidationError as error:
            raise RecipeError(f"{where}: {self.name}: {error}", cure=f"see `snncc explain {self.name}`") from None

    def apply(self, network: Network, context: Context, options: msgspec.Struct) -> Network:
        """Run the pass."""
        return self.function(network, context, **msgspec.structs.asdict(options))


def transform(
    *,
    fidelity: Fidelity,
    needs: Iterable[str] = (),
    gives: Iterable[str] = (),
    uses_timesteps: bool = False,
    settles: bool = False,
) -> Callable[[Callable[..., Network]], Transform]:
    """Declare a pass: its fidelity, what must have run before, what it provides, whether it depends on the design T
    and whether the spikes of what it makes end.

    Options are keyword-only.
    """

    def declare(function: Callable[..., Network]) -> Transform:
        hints = get_type_hints(function, include_extras=True)
        fields: Sequence[tuple[str, Any] | tuple[str, Any, Any]] = [
            (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default)
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        ]
        options = msgspec.defstruct(function.__name__, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)
        return Transform(
            name=function.__name__,
            function=function,
            fidelity=fidelity,
            needs=frozenset(needs),
            gives=frozenset(gives),
            options=options,
            uses_timesteps=uses_timesteps,
            settles=settles,
        )

    return declare
