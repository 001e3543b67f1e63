# SPDX-License-Identifier: Apache-2.0
"""What `report` and `compare` show in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from snncc.cli.console import notice, say, show_cells, show_tail, warn
from snncc.names import safe_name

if TYPE_CHECKING:
    from snncc.reports.comparison import Comparison
    from snncc.reports.document import Report


def show_report(report: Report, folder: Path | None, *, quiet: bool = False) -> None:
    """The report: verdict, diagnosis, layers, energy."""
    from snncc.reports import tables
    from snncc.reports.text import loss_split

    say(report.verdict)
    for warning in report.warnings:
        warn(warning)
    for i, advice in enumerate(report.advice):
        say(f"- {advice.finding}")
        if i + 1 == len(report.advice) or report.advice[i + 1].cure != advice.cure:
            say(f"  -> {advice.cure}")
    curve = report.curves[0]
    columns = ("T", curve.metric, "95 % interval", "quantised", "error")
    show_cells(f"Against time, {curve.samples} samples", tables.steps(curve), columns)
    if split := loss_split(curve):
        say(split)
    show_tail(report.simulation.analog_tail)
    layers = ("#", "layer", "cumulative", "isolated", "saturated", "dead", "rate")
    on = f"{report.measured.samples} samples of {safe_name(report.measured.source)}, T={report.measured.timesteps}"
    show_cells(f"Layers, {on}", tables.layers(report.layers), layers)
    if report.attribution is not None:
        found = report.attribution
        title = f"Points of {found.metric} by layer, {found.samples} samples, {found.runs} simulations"
        show_cells(title, tables.attribution(found), ("#", "layer", "costs", "regained alone", "error left"))
    show_cells("Energy per sample, modelled", tables.energy(report.energy))
    if folder is not None and not quiet:
        say(f"page: {folder / 'report.html'}")


def show_comparison(found: Comparison, folder: Path | None) -> None:
    """Methods against T."""
    from snncc.reports import compare_page

    if found.calibration.synthetic or found.data.synthetic:
        warn("calibrated or measured on synthetic inputs, not real data: give --calib and --data")
    title = f"{safe_name(found.name)}: {found.metric}, {found.data.count} samples of {safe_name(found.data.source)}"
    show_cells(title, compare_page.entry_table(found))
    runs = ("method", "design T", "quantised", "rate", "operations", "energy", "with memory")
    show_cells("What each run costs; energy over the quantised ANN", compare_page.run_table(found), runs)
    for refusal in found.refused:
        notice(f"{refusal.method}: {refusal.reason}")
    say(compare_page.verdict(found))
    if folder is not None:
        say(f"page: {folder / 'compare.html'}")
