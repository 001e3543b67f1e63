# SPDX-License-Identifier: Apache-2.0
"""The tables of a report, once for the page and the console: columns, and cells with their number and its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from snncc.execute.analog_tail import TailAgreement
from snncc.integer.part import IntegerPart
from snncc.names import safe_name
from snncc.reports.document import Attribution, Curve, Energy, Layer, PassLine, rounded
from snncc.reports.text import amount, count, interval, percent, points, quantity, ratio, short_names, small
from snncc.reports.trials import Search
from snncc.simulation.early_exit import EarlyExit
from snncc.simulation.run import Simulation


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, whether it holds numbers, what it means."""

    name: str
    numeric: bool = True
    help: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, its number if it has one, and what a short name stands for."""

    shown: str
    numeric: bool = False
    value: float | None = None
    full: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def word(text: str) -> Cell:
    """A cell of words; names from files are made fit to print."""
    return Cell(safe_name(text))


def layer(name: str, labels: Mapping[str, str]) -> Cell:
    """A cell with the short name of a layer."""
    full, short = safe_name(name), labels[name]
    return Cell(short, full=full if short != full else "")


def figure(value: float | None, shown: str) -> Cell:
    """A cell with a number."""
    return Cell(shown, True, value)


def over(value: float, other: float | None) -> float | None:
    """One cost as a multiple of another."""
    return rounded(value / other) if other else None


def steps(curve: Curve) -> Table:
    """The curve as numbers."""
    columns = [Column("T"), Column(curve.metric), Column("95 % interval", help="Wilson interval")]
    split = any(p.reference is not None for p in curve.points)
    if split:
        columns += [
            Column("quantised", help="the quantised reference: layer by layer, without time between the layers"),
            Column("quantisation", help="points lost to quantisation: ANN - reference; negative ones are gained"),
            Column("asynchrony", help="points lost to asynchrony: reference - SNN; negative ones are gained"),
        ]
    columns.append(Column("error", help="squared error of the output over its power"))
    rows = []
    for p in curve.points:
        row = [figure(p.t, str(p.t)), figure(p.value, percent(p.value)), figure(p.low, interval(p.low, p.high))]
        if split:
            row.append(figure(p.reference, percent(p.reference)))
            row += [figure(v, points(v)) for v in (p.quantisation, p.asynchrony)]
        rows.append([*row, figure(p.error, small(p.error))])
    return Table(columns, rows)


def middle(line: Layer) -> float | None:
    """The median of a layer's thresholds."""
    return line.thresholds.median if line.thresholds else None


#: Of each column of numbers: what it means, the figure of a layer, and how that is written.
LAYER_FIGURES: Mapping[str, tuple[str, Callable[[Layer], float | None], Callable[..., str]]] = {
    "cumulative": ("relative error in the simulation", attrgetter("cumulative"), small),
    "isolated": ("relative error when fed with the ANN's values", attrgetter("isolated"), small),
    "correlation": ("with the ANN's values", attrgetter("correlation"), small),
    "saturated": ("share of values above what the neurons can emit in T steps", attrgetter("saturated"), percent),
    "clipping": ("the relative error that saturation alone causes", attrgetter("clipping"), small),
    "dead": ("neurons that never fire though the ANN uses them", attrgetter("dead"), percent),
    "residual": ("charge left in the membranes at T, in spikes", attrgetter("residual"), small),
    "SIN": ("neurons that fire though the ANN's input to them is negative", attrgetter("sin"), percent),
    "rate": ("events per neuron and step", attrgetter("rate"), small),
    "spikes +": ("per sample", attrgetter("positive"), amount),
    "spikes −": ("per sample", attrgetter("negative"), amount),
    "operations": ("synaptic operations per sample, by real fan-out", attrgetter("synaptic_operations"), amount),
    "threshold": ("median of the layer's thresholds", middle, small),
    "neurons": ("", attrgetter("neurons"), count),
}


LAYER_COLUMNS = (
    *(Column("#"), Column("layer", False), Column("kind", False)),
    *(Column(name, help=words) for name, (words, _, _) in LAYER_FIGURES.items()),
)


def kind(name: str, role: str) -> str:
    """The type of a node, and its class where the type does not say it."""
    return name if role == "spiking" or name.lower() == role else f"{name}, {role}"


def layers(lines: Sequence[Layer]) -> Table:
    """The table of layers."""
    rows, labels = [], short_names(line.name for line in lines)
    for i, line in enumerate(lines, 1):
        numbers = [figure(value := of(line), show(value)) for _, of, show in LAYER_FIGURES.values()]
        rows.append([figure(i, str(i)), layer(line.name, labels), word(kind(line.kind, line.role)), *numbers])
    return Table(LAYER_COLUMNS, rows)


def attribution(found: Attribution) -> Table:
    """What each layer costs."""
    labels = short_names(line.layer for line in found.layers)
    columns = (
        Column("#"),
        Column("layer", False),
        Column("costs", help="points regained beyond the layers before it, put back from the input on"),
        Column("regained alone", help="points regained when the ANN's values are put back at this layer alone"),
        Column("error left", help="relative error of the output then"),
    )
    rows = [
        [
            figure(i + 1, str(i + 1)),
            layer(line.layer, labels),
            figure(line.cost, points(line.cost)),
            figure(line.regained, points(line.regained)),
            figure(line.error, small(line.error)),
        ]
        for i, line in enumerate(found.layers)
    ]
    return Table(columns, rows)


def energy(found: Energy) -> Table:
    """The models, one row each."""
    columns = (
        Column("model", False),
        Column("SNN"),
        Column("ANN"),
        Column(f"{found.bits}-bit ANN"),
        Column("SNN / ANN"),
        Column(f"SNN / {found.bits}-bit ANN"),
    )
    rows = [
        [
            word(m.name),
            *(figure(value, quantity(value, m.unit)) for value in (m.snn, m.ann, m.quantised)),
            figure(over(m.snn, m.ann), ratio(m.snn, m.ann)),
            figure(over(m.snn, m.quantised), ratio(m.snn, m.quantised)),
        ]
        for m in found.models
    ]
    return Table(columns, rows)


def search(found: Search) -> Table:
    """What `--method auto` tried, cheapest first."""
    columns = (
        Column("method", numeric=False),
        Column("T"),
        Column("per", numeric=False, help="what shares one threshold"),
        Column("levels", help="spikes that a neuron may emit in one step"),
        Column(found.metric),
        Column("lost", help="points below the ANN"),
        Column("SOP", help="synaptic operations per sample"),
        Column("front", numeric=False, help="no other trial is better in one and as good in the other"),
    )
    rows = [
        (
            word(t.method),
            figure(t.timesteps, str(t.timesteps)),
            word(t.granularity),
            figure(t.levels, str(t.levels)),
            figure(t.value, percent(t.value)),
            figure(t.drop, f"{t.drop:.2f}"),
            figure(t.synaptic_operations, amount(t.synaptic_operations)),
            word("chosen" if t.chosen else "yes" if t.front else ""),
        )
        for t in sorted(found.trials, key=lambda t: t.synaptic_operations)
    ]
    return Table(columns, rows)


def passes(lines: Sequence[PassLine]) -> Table:
    """What the passes promised, and what was measured."""
    columns = (
        Column("pass", False),
        Column("promises", False),
        Column("stage", False),
        Column("error", help="ANN stage: of the worst value; SNN stage: of the output"),
        Column("bound"),
        Column("nodes changed"),
    )
    rows = [
        [
            word(p.name),
            word(p.fidelity),
            word(p.stage),
            figure(p.error, small(p.error)),
            figure(p.bound, small(p.bound)),
            figure(p.changed, str(p.changed)),
        ]
        for p in lines
    ]
    return Table(columns, rows)


def tail(name: str, found: TailAgreement) -> Table:
    """How an output of the analog tail agrees with the ANN's, by T."""
    columns = (
        Column("T"),
        Column("shape of the ANN's", help=f"share of samples for which {safe_name(name)} has the shape of the ANN's"),
        Column("equal to the ANN's", help="share of samples with the ANN's result; indices and truth values only"),
    )
    rows = []
    for t, shape in found.shape.items():
        equal = found.equal[t] if found.equal else None
        rows.append([figure(int(t), t), figure(shape, percent(shape)), figure(equal, percent(equal))])
    return Table(columns, rows)


def early_exit(found: Simulation) -> Table:
    """The run of all steps beside the one whose samples end when they are decided."""
    early, last = found.early_exit, str(found.timesteps)
    columns = (
        Column("run", False),
        Column("steps", help="mean over the samples"),
        Column("accuracy"),
        Column("agreement with ANN"),
        Column("operations", help="synaptic operations per sample, by real fan-out"),
    )

    def row(name: str, steps: float, accuracy: float | None, agreement: float, operations: float) -> Sequence[Cell]:
        cells = (figure(accuracy, percent(accuracy)), figure(agreement, percent(agreement)))
        return [word(name), figure(steps, small(steps)), *cells, figure(operations, amount(operations))]

    accuracy = found.accuracy[last] if found.accuracy else None
    rows = [row("all steps", found.timesteps, accuracy, found.agreement[last], found.synaptic_operations)]
    if early is not None:
        rows.append(row("early exit", early.mean_steps, early.accuracy, early.agreement, early.synaptic_operations))
    return Table(columns, rows)


def exit_steps(found: EarlyExit) -> Table:
    """How many samples end at each step."""
    columns = (Column("after step"), Column("samples end"), Column("share"), Column("ended so far"))
    rows, so_far, total = [], 0, sum(found.exit_steps.values())
    for step, samples in sorted((int(t), n) for t, n in found.exit_steps.items()):
        so_far += samples
        shares = [figure(n / total, percent(n / total)) for n in (samples, so_far)]
        rows.append([figure(step, str(step)), figure(samples, count(samples)), *shares])
    return Table(columns, rows)


def widths(found: IntegerPart) -> Table:
    """The range of every quantity of the integer network."""
    labels = short_names(w.layer for w in found.widths)
    columns = (
        Column("layer", numeric=False),
        Column("quantity", numeric=False, help="value and membrane with all partial sums; sum over the steps"),
        Column("smallest"),
        Column("largest"),
        Column("type", numeric=False),
    )
    rows = [
        (
            layer(w.layer, labels),
            word(w.quantity),
            figure(w.smallest, f"{w.smallest:,}"),
            figure(w.largest, f"{w.largest:,}"),
            word(w.type),
        )
        for w in found.widths
    ]
    return Table(columns, rows)
