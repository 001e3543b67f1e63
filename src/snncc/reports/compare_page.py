# SPDX-License-Identifier: Apache-2.0
"""The page and the tables of a comparison; they only render."""

from __future__ import annotations

from snncc.names import safe_name
from snncc.reports import charts
from snncc.reports.comparison import Comparison
from snncc.reports.page import rendered
from snncc.reports.tables import Cell, Column, Table, figure, word
from snncc.reports.text import amount, interval, percent, small

COLOURS = 6


def methods_of(found: Comparison) -> list[str]:
    """The methods with results, in order."""
    return list(dict.fromkeys(entry.method for entry in found.entries))


def entry_table(found: Comparison) -> Table:
    """Methods down, T across."""
    columns = [Column("method", False), *(Column(f"T={t}") for t in found.timesteps)]
    values = {(e.method, e.timesteps): e.value for e in found.entries}
    rows: list[list[Cell]] = [
        [word(m), *(figure(values.get((m, t)), percent(values.get((m, t)))) for t in found.timesteps)]
        for m in methods_of(found)
    ]
    if found.metric == "accuracy":
        rows.append([word("ANN"), *(figure(found.ann, percent(found.ann)) for _ in found.timesteps)])
    return Table(columns, rows)


def run_table(found: Comparison) -> Table:
    """One row per conversion."""
    columns = (
        Column("method", False),
        Column("design T"),
        Column(found.metric),
        Column("95 % interval", help="Wilson interval"),
        Column("quantised", help="the quantised reference: layer by layer, without time between the layers"),
        Column("rate", help="spikes per neuron and step"),
        Column("operations", help="synaptic operations per sample at the design T"),
        Column("energy", help="by arithmetic, over the quantised ANN"),
        Column("with memory", help="over the quantised ANN"),
    )
    rows = []
    for run in found.runs:
        last, (bare, whole) = run.curve.points[-1], run.energy
        rows.append(
            [
                word(run.method),
                figure(run.design, str(run.design)),
                figure(last.value, percent(last.value)),
                figure(last.low, interval(last.low, last.high)),
                figure(last.reference, percent(last.reference)),
                figure(run.firing_rate, small(run.firing_rate)),
                figure(run.synaptic_operations, amount(run.synaptic_operations)),
                figure(bare, f"{small(bare)}×"),
                figure(whole, f"{small(whole)}×"),
            ]
        )
    return Table(columns, rows)


def verdict(found: Comparison) -> str:
    """The comparison in one line: the best method at the smallest and at the largest T."""
    parts = []
    for t in dict.fromkeys((found.timesteps[0], found.timesteps[-1])):
        at = [e for e in found.entries if e.timesteps == t]
        if at:
            best = max(at, key=lambda e: e.value)
            parts.append(f"at T={t} {best.method} reaches {percent(best.value)}")
    goal = f" (ANN {percent(found.ann)})" if found.metric == "accuracy" else " agreement with the ANN"
    return f"{safe_name(found.name)}: " + ", ".join(parts) + goal


def compare_page(found: Comparison) -> bytes:
    """The page."""
    names = methods_of(found)
    kinds = {name: f"c{i % COLOURS}" for i, name in enumerate(names)}
    series = []
    for name in names:
        at = [e for e in found.entries if e.method == name]
        places = [
            (
                float(e.timesteps),
                e.value,
                f"{name}, T={e.timesteps}: {percent(e.value)}, 95 % {interval(e.low, e.high)}",
            )
            for e in sorted(at, key=lambda e: e.timesteps)
        ]
        series.append(charts.Series(kinds[name], places))
        longest = max((run for run in found.runs if run.method == name), key=lambda run: run.design)
        if longest.prefix and len(longest.curve.points) > 1:
            prefix = [(float(p.t), p.value, "") for p in longest.curve.points]
            series.append(charts.Series(kinds[name], prefix, dashed=True))
    levels = [(found.ann, "level", f"ANN {percent(found.ann)}")] if found.metric == "accuracy" else []
    return rendered(
        "compare.html",
        c=found,
        verdict=verdict(found),
        chart=charts.against_steps("compare", f"{found.metric} against T by method", series, levels),
        legend=[{"name": name, "kind": kinds[name]} for name in names],
        entries=entry_table(found),
        runs=run_table(found),
    )
