# SPDX-License-Identifier: Apache-2.0
"""What the terminal shows: tables, notices, progress and errors. The only file that imports rich."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from snncc.names import safe_name
from snncc.reports.document import decode
from snncc.reports.text import DASH, percent

if TYPE_CHECKING:
    from snncc.api import Converted
    from snncc.errors import SnnccError
    from snncc.execute.analog_tail import TailAgreement
    from snncc.execute.native.cost import LayerCost
    from snncc.frontend.inspect import Inspection
    from snncc.ir.analog_tail import AnalogTail
    from snncc.reports.tables import Table as Cells
    from snncc.simulation.run import Simulation

OUT = Console(highlight=False, soft_wrap=False)
ERR = Console(stderr=True, highlight=False)


def plain(text: str) -> None:
    """Text as it is, unwrapped: JSON and generated text."""
    OUT.print(text, markup=False, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line of information."""
    OUT.print(escape(text))


def notice(text: str) -> None:
    """Something a user must not miss, on the error stream."""
    ERR.print(f"[bold yellow]note:[/] {escape(text)}")


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """What the library warns of, as notices."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    for warning in caught:
        notice(str(warning.message))


def warn(text: str) -> None:
    """Something that makes results doubtful."""
    ERR.print(f"[bold red]warning:[/] {escape(text)}")


def failure(error: SnnccError) -> None:
    """An error with its cure."""
    ERR.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.cure:
        ERR.print(f"  [bold]->[/] {escape(error.cure)}")


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress display with the time left; shows nothing when quiet or not on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=quiet or not ERR.is_terminal) as bar:
        tasks: dict[str, Any] = {}
        lock = threading.Lock()  # `compare` tells from several threads

        def tell(text: str, done: int, total: int) -> None:
            with lock:
                if text not in tasks:
                    for task in tasks.values():
                        bar.update(task, visible=False)
                    tasks[text] = bar.add_task(escape(text), total=total)
                bar.update(tasks[text], completed=done)

        yield tell


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int | Container[int] = 1) -> None:
    """A table fitted to the terminal; the first `left` columns, or those that it holds, are aligned left."""
    lefts = range(left) if isinstance(left, int) else left
    OUT.print(f"[bold]{escape(title)}[/]")  # a table's own title would be folded at the table's width
    shown = Table(header_style="bold")
    for i, column in enumerate(columns):
        shown.add_column(column, justify="left" if i in lefts else "right", overflow="fold")
    for row in rows:
        shown.add_row(*[escape(cell) for cell in row])
    OUT.print(shown)


def by_output(value: Any, outputs: Sequence[str]) -> Mapping[str, Any]:
    """A measured quantity by output name, whether there is one output or several."""
    return value if isinstance(value, Mapping) and set(value) == set(outputs) else {outputs[0]: value}


def show_inspection(result: Inspection) -> None:
    """What `check` found."""
    verdict = "[green]converts[/]" if result.convertible else "[red]does not convert[/]"
    OUT.print(f"{escape(safe_name(result.model))}: {verdict}")
    rows = [[safe_name(p.node), safe_name(p.operator), p.reason, p.cure] for p in result.problems]
    if rows:
        table("Problems", ("node", "operator", "reason", "cure"), rows, left=4)
    say(f"nodes that convert: {percent(result.nodes_converting)} of {result.nodes}")
    say(
        f"multiply-accumulates that convert: {percent(result.operations_converting)} "
        f"of {result.multiply_accumulates:,} per sample"
    )
    if result.operations:
        kinds = {
            "spikes": "fed by spikes",
            "graded": "fed by currents of other weighted nodes",
            "analog": "fed by functions on running means",
            "input": "fed by the input (constant current, computed once)",
            "static": "static (computed once)",
        }
        rows = [[kinds[k], percent(v)] for k, v in result.operations.items() if v]
        table("Multiply-accumulates", ("what", "share"), rows)
        rows = [[k, str(v)] for k, v in result.classes.items() if v]
        table("Nodes", ("class", "count"), rows)
    if result.analog:
        say(f"analog (functions on running means): {some(result.analog)}")
    if result.foreign:
        say(f"foreign (evaluated by onnxruntime): {some(result.foreign)}")
    if result.analog_tail:
        notice(f"analog tail: {tail_text(result.analog_tail)}")
    if result.one_at_a_time:
        notice(f"samples run one at a time: {result.one_at_a_time}")


def some(names: Sequence[str]) -> str:
    """The first names of a list and how many it leaves out."""
    rest = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(map(safe_name, names[:12])) + rest


def tail_text(tail: AnalogTail) -> str:
    """What stands behind a network."""
    return f"{tail} run in onnxruntime on the outputs at read-out; they give {some(tail.outputs)}"


def show_converted(result: Converted) -> None:
    """What `convert` did."""
    manifest = result.manifest
    seconds = [f"{result.seconds[f'{i} {r.name}']:.1f}" for i, r in enumerate(manifest.records)]
    rows = [
        [r.name, r.fidelity, r.stage, DASH if r.error is None else f"{r.error:.2e}", str(len(r.changed)), took]
        for r, took in zip(manifest.records, seconds, strict=True)
    ]
    table(
        f"{safe_name(manifest.name)} by {manifest.method}, design T {manifest.timesteps}",
        ("pass", "promises", "stage", "error", "changed", "seconds"),
        rows,
        left=3,
    )
    show_notes(result)
    say(f"calibrated on {manifest.calibration.count} samples of {safe_name(manifest.calibration.source)}")
    from snncc.reports.summary import SILENT

    report = decode(result.files["report.json"])
    if report.search is not None:
        from snncc.reports import tables

        title = f"Tried for {report.search.target}, judged on {report.search.samples} held-back samples"
        show_cells(title, tables.search(report.search))
    if SILENT in report.warnings:
        warn(SILENT)
    say(report.verdict)
    if result.path is not None:
        say(f"wrote {result.path}, the report is {result.path / 'report.html'}")


def show_notes(result: Converted) -> None:
    """What the passes approximated or left analog, and what is certified."""
    manifest = result.manifest
    approximations = [n for r in manifest.records for n in r.notes if n.kind == "approximation"]
    for note in approximations[:12]:
        notice(f"{safe_name(note.node)}: {note.text}")
    if len(approximations) > 12:
        notice(f"{len(approximations) - 12} more approximations stand in report.json")
    analog = [n.node for r in manifest.records for n in r.notes if n.kind == "analog"]
    if analog:
        say(f"analog (functions on running means): {some(analog)}")
    if result.network.analog_tail is not None:
        notice(f"analog tail: {tail_text(result.network.analog_tail)}")
    if manifest.certificate is not None:
        from snncc.reports.text import certificate_text

        say(certificate_text(manifest.certificate))


def show_simulation(result: Simulation, outputs: Sequence[str]) -> None:
    """What `simulate` measured."""
    from snncc.reports.curve import curves
    from snncc.reports.text import loss_split

    if result.synthetic:
        warn("these samples are synthetic inputs, not real data: give --data")
    for curve in curves(result, outputs):
        name, labelled = curve.output, curve.metric == "accuracy"
        agreement, error = by_output(result.agreement, outputs)[name], by_output(result.error, outputs)[name]
        rows = [
            [str(p.t), percent(p.value), percent(agreement[str(p.t)]), percent(p.reference), f"{error[str(p.t)]:.3e}"]
            for p in curve.points
        ]
        rows.append(["ANN", percent(curve.ann), percent(1.0), DASH, "0"])
        columns = ["T", "accuracy", "agreement with ANN", "quantised reference", "relative error"]
        if not labelled:
            columns, rows = columns[:1] + columns[2:], [row[:1] + row[2:] for row in rows[:-1]]
        title = f"{safe_name(result.name)} by {result.method}, {result.samples} samples, {result.device}"
        table(title + (f", output {safe_name(name)}" if len(outputs) > 1 else ""), columns, rows)
        if split := loss_split(curve):
            say(split)
        if (floats := result.float_snn) is not None:
            show_beside(
                title,
                by_output(result.accuracy, outputs)[name],
                by_output(floats.accuracy, outputs)[name],
                by_output(result.ann_accuracy, outputs)[name],
                by_output(floats.agreement, outputs)[name],
            )
    show_tail(result.analog_tail)
    show_early_exit(result)
    rate = "-" if result.firing_rate is None else f"{result.firing_rate:.4f}"
    say(f"spikes per neuron and step at T={result.timesteps}: {rate} ({result.neurons:,} neurons)")
    say(f"synaptic operations per sample at T={result.timesteps}: {result.synaptic_operations:,.0f}")
    first = "not reached" if result.within_one_point is None else f"T={result.within_one_point}"
    say(f"within 1 point of the ANN from: {first}")
    if result.profile:
        show_profile(result.profile)


def show_tail(found: Mapping[str, TailAgreement]) -> None:
    """How the outputs behind the network agree with the ANN's."""
    from snncc.reports import tables

    for name, agreement in found.items():
        show_cells(f"Analog tail, output {safe_name(name)}", tables.tail(name, agreement))


def show_early_exit(result: Simulation) -> None:
    """When samples end, and what that saves."""
    from snncc.reports import tables
    from snncc.reports.text import early_exit_text

    if result.early_exit is not None:
        show_cells("Samples by the step after which they end", tables.exit_steps(result.early_exit))
        show_cells("Early exit beside all steps", tables.early_exit(result))
        say(early_exit_text(result))


def show_profile(costs: Sequence[LayerCost]) -> None:
    """What each layer cost in the native engine."""
    rows = [
        [
            cost.layer,
            cost.kernel,
            "-" if cost.density is None else percent(cost.density),
            f"{cost.synaptic_operations:.3e}",
            f"{1e3 * cost.seconds:.2f}",
            f"{cost.rate / 1e9:.1f}",
            percent(cost.share),
        ]
        for cost in costs
    ]
    names = ("layer", "kernel", "density", "synaptic operations", "ms", "G SOP/s", "of the dense rate")
    table("Cost by layer", names, rows, left=2)


def show_beside(title: str, integer: Any, floats: Any, ann: float | None, agreement: dict[str, float]) -> None:
    """The integer network beside the one in floats and the ANN."""
    columns: tuple[str, ...] = ("T", "integer and floats choose the same")
    rows = [[t, percent(same)] for t, same in agreement.items()]
    if integer and floats and ann is not None:
        columns = ("T", "integer SNN", "float SNN", "ANN", columns[1])
        rows = [[t, percent(integer[t]), percent(floats[t]), percent(ann), percent(agreement[t])] for t in agreement]
    table(f"{title}: accuracy in integers and in floats", columns, rows)


def show_cells(title: str, cells: Cells, columns: Sequence[str] = ()) -> None:
    """A table of the report, or some of its columns."""
    names = [column.name for column in cells.columns]
    kept = [names.index(name) for name in columns or names if name in names]
    left = [place for place, i in enumerate(kept) if not cells.columns[i].numeric]
    table(title, [names[i] for i in kept], [[row[i].shown for i in kept] for row in cells.rows], left=left)
