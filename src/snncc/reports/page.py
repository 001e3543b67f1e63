# SPDX-License-Identifier: Apache-2.0
"""`report.html`: the report as one file that needs nothing else. It only renders; every number stands in the report."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from snncc.names import safe_name
from snncc.reports import charts, tables
from snncc.reports.document import Curve, Point, Report
from snncc.reports.graph import network_graph
from snncc.reports.text import (
    amount,
    at,
    certificate_text,
    count,
    early_exit_text,
    interval,
    loss_split,
    lost,
    percent,
    points,
    ratio,
    short_names,
    small,
)

#: Bars that a chart of steps has room for.
MOST_BARS = 64


def integrity(content: str) -> str:
    """The hash by which the page's policy admits its own style and script, and nothing that a name brings in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def rendered(template: str, **values: Any) -> bytes:
    """A template with the page's style and script."""
    environment = Environment(
        loader=PackageLoader("snncc.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found: dict[str, Any] = {}
    for name, file in (("style", "page.css"), ("script", "page.js")):
        content = environment.loader.get_source(environment, file)[0] if environment.loader else ""
        found |= {name: Markup(content), f"{name}_hash": integrity(content)}  # files of this package
    return environment.get_template(template).render(**found, names=safe_name, **values).encode()


def point_tip(curve: Curve, p: Point) -> str:
    """A point of a curve in words."""
    return f"T={p.t}: {percent(p.value)} {curve.metric}, 95 % {interval(p.low, p.high)}, error {small(p.error)}"


def reference_tip(curve: Curve, p: Point) -> str:
    """A point of the quantised reference in words."""
    return (
        f"T={p.t}: quantised reference {percent(p.reference)} {curve.metric}; "
        f"{lost(p.quantisation or 0.0, 'quantisation')}, {lost(p.asynchrony or 0.0, 'asynchrony')}"
    )


def curve_chart(report: Report, curve: Curve) -> dict[str, Any]:
    """Accuracy against T, with the ANN's and the quantised reference's."""
    known = [(float(p.t), p.reference, reference_tip(curve, p)) for p in curve.points if p.reference is not None]
    series = [charts.Series("reference", known)] if known else []
    places = [(float(p.t), p.value, point_tip(curve, p)) for p in curve.points]
    series.append(charts.Series(curve.metric, places, [(p.low, p.high) for p in curve.points]))
    caption = [
        f"{curve.metric} of {safe_name(curve.output)} against T with 95 % Wilson intervals, {curve.samples} samples",
        f"within one point of the ANN: {at(curve.within_one_point)}",
        f"lossless: {at(curve.lossless)}",
        f"C_T (within 2 % of the last): {at(curve.latency)}",
        f"one network, made for T={report.timesteps}, read at every T",
    ]
    levels = [(curve.ann, "level", f"ANN {percent(curve.ann)}")] if curve.metric == "accuracy" else []
    return {
        "svg": charts.against_steps("curve", f"{curve.metric} against T", series, levels),
        "metric": curve.metric,
        "reference": bool(known),
        "split": loss_split(curve),
        "caption": "; ".join(caption),
    }


def layer_part(report: Report) -> dict[str, Any]:
    """The chart and table of layers."""
    lines = report.layers
    series = [
        ("isolated", [x.isolated if x.thresholds else None for x in lines]),
        ("cumulative", [x.cumulative for x in lines]),
    ]
    chart = charts.by_layer("layers", "error by layer", [safe_name(x.name) for x in lines], series, small)
    table = tables.layers(lines)
    return {"svg": chart, "columns": table.columns, "rows": table.rows}


def attribution_part(report: Report) -> dict[str, Any] | None:
    """The chart and table of the attribution."""
    found = report.attribution
    if found is None:
        return None
    table = tables.attribution(found)
    names, costs = [safe_name(x.layer) for x in found.layers], [x.cost for x in found.layers]
    return {
        "svg": charts.columns("attribution", "cost by layer", names, costs, points),
        "columns": table.columns,
        "rows": table.rows,
        "caption": f"ANN values put back layer by layer, {found.samples} samples at T={found.timesteps}, {found.runs} "
        f"simulations. {found.metric}: SNN {percent(found.snn)}, ANN {percent(found.ann)}.",
    }


def search_part(report: Report) -> dict[str, Any] | None:
    """What `--method auto` tried: accuracy against synaptic operations."""
    found = report.search
    if found is None:
        return None
    places = [
        (
            t.synaptic_operations,
            t.value,
            "c1" if t.front else "own",
            (
                f"{t.method}, T={t.timesteps}, {t.granularity}, levels {t.levels}: {percent(t.value)}, "
                f"{amount(t.synaptic_operations)} operations{', chosen' if t.chosen else ''}"
            ),
        )
        for t in found.trials
    ]
    table = tables.search(found)
    return {
        "svg": charts.scatter("search", f"{found.metric} against operations", places, "synaptic operations per sample"),
        "columns": table.columns,
        "rows": table.rows,
        "caption": f"The cheapest network with {found.target}, chosen on {found.samples} held-back calibration "
        f"samples; filled: the Pareto front. ANN {percent(found.ann)}.",
    }


def integer_part(report: Report) -> dict[str, Any] | None:
    """The integer network: the proved range of every number."""
    found = report.integer
    if found is None:
        return None
    table = tables.widths(found)
    narrow = sum(w.type == "int16" for w in found.widths)
    return {
        "columns": table.columns,
        "rows": table.rows,
        "caption": f"Weights {found.weights}, {amount(float(found.weight_bytes))} bytes of constants. Proved for all "
        f"inputs and every T up to {found.max_timesteps}: {narrow} of {len(found.widths)} quantities fit int16, the "
        "others int32.",
    }


def histogram_parts(report: Report) -> list[dict[str, Any]]:
    """One small chart per layer with thresholds."""
    parts, labels = [], short_names(line.name for line in report.layers)
    for i, line in enumerate(report.layers):
        if line.histogram is None or line.thresholds is None:
            continue
        h, t = line.histogram, line.thresholds
        tip = (
            f"{safe_name(line.name)}: activations up to {small(h.top)}, {count(h.zero)} not positive; {t.count} "
            f"thresholds, {small(t.min)} to {small(t.max)}, median {small(t.median)}"
        )
        label = f"activations and thresholds of {safe_name(line.name)}"
        chart = charts.histogram(label, h.activations, h.thresholds, tip)
        parts.append({"svg": chart, "caption": f"{i + 1} {labels[line.name]}, 0 to {small(h.top)}"})
    return parts


def raster_parts(report: Report) -> list[dict[str, Any]]:
    """The rasters."""
    parts = []
    for found in report.rasters:
        steps = max((len(row) for row in found.rows), default=0)
        name = safe_name(found.layer)
        caption = f"{name}: {len(found.rows)} of {found.of:,} neurons, {steps} steps, the first sample"
        parts.append({"svg": charts.raster(f"spikes of {name}", found.rows), "caption": caption})
    return parts


def tail_parts(report: Report) -> list[dict[str, Any]]:
    """How each output of the analog tail agrees with the ANN's."""
    found = report.simulation.analog_tail.items()
    return [{"name": safe_name(name), "table": tables.tail(name, agreement)} for name, agreement in found]


def early_exit_part(report: Report) -> dict[str, Any] | None:
    """When the samples end, and what that saves."""
    found, steps = report.simulation.early_exit, report.simulation.timesteps
    if found is None:
        return None
    total, beside = sum(found.exit_steps.values()), tables.early_exit(report.simulation)
    shares = [found.exit_steps.get(str(t), 0) / total for t in range(1, steps + 1)]
    exits, ends = tables.exit_steps(found), ["steps"] * steps
    chart = charts.columns("early-exit", "samples by their last step", ends, shares, percent, "ended after step")
    return {
        "svg": chart if steps <= MOST_BARS else "",
        "beside": beside,
        "exits": exits,
        "caption": early_exit_text(report.simulation),
    }


def advice_part(report: Report) -> list[dict[str, Any]]:
    """The findings, the name of the layer apart; a cure stands behind the last finding that it is for."""
    parts = []
    for found, after in zip(report.advice, [*report.advice[1:], None], strict=True):
        name = safe_name(found.layer) if found.layer else ""
        name = name if name and found.finding.startswith(name) else ""
        cure = "" if after is not None and after.cure == found.cure else found.cure
        parts.append({"rule": found.rule, "name": name, "text": found.finding.removeprefix(name), "cure": cure})
    return parts


def figures_part(report: Report) -> list[tuple[str, str]]:
    """The figures of the verdict at a glance, each with its name."""
    curve, last, e = report.curves[0], report.curves[0].points[-1], report.energy
    found = [(f"{curve.metric} at T={last.t}", percent(last.value))]
    if curve.metric == "accuracy":
        found.append(("of the ANN", percent(curve.ann)))
    if last.reference is not None:
        lost_to = {"quantisation": last.quantisation or 0.0, "asynchrony": last.asynchrony or 0.0}
        found += [(f"lost to {cause}", f"{100 * value:.1f} points") for cause, value in lost_to.items()]
    bare, whole = e.models[-2:]
    return [
        *found,
        ("lossless", at(curve.lossless)),
        ("operations fed by spikes", percent(report.operations.get("spikes"))),
        (f"energy of the {e.bits}-bit ANN, modelled", ratio(bare.snn, bare.quantised)),
        ("the same with memory", ratio(whole.snn, whole.quantised)),
    ]


def largest_first(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    """Counts in an order that does not depend on that of the mapping."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def graph_part(report: Report) -> dict[str, Any]:
    """The drawing of the network."""
    kinds = ", ".join(f"{n} {name}" for name, n in largest_first(report.nodes) if n)
    fed = ", ".join(f"{percent(share)} {name}" for name, share in largest_first(report.operations) if share)
    caption = f"Nodes: {kinds}. Multiply-accumulates by what feeds them: {fed or 'none'}. Static nodes are not drawn."
    return {"svg": network_graph(report.graph), "caption": caption, "open": len(report.graph) <= 80}


def page(report: Report) -> bytes:
    """The page of a report."""
    e = report.energy
    step_table, energy_table = tables.steps(report.curves[0]), tables.energy(e)
    pass_table = tables.passes(report.passes)
    return rendered(
        "report.html",
        r=report,
        figures=figures_part(report),
        advice=advice_part(report),
        tails=tail_parts(report),
        early=early_exit_part(report),
        curves=[curve_chart(report, curve) for curve in report.curves],
        steps={
            "columns": step_table.columns,
            "rows": step_table.rows,
            "caption": f"{report.curves[0].samples} samples of {report.simulation.source}",
        },
        layers=layer_part(report),
        certificate=certificate_text(report.certificate) if report.certificate else None,
        attribution=attribution_part(report),
        search=search_part(report),
        integer=integer_part(report),
        histograms=histogram_parts(report),
        rasters=raster_parts(report),
        energy={
            "columns": energy_table.columns,
            "rows": energy_table.rows,
            "caption": f"Per sample at T={e.timesteps}: {small(report.simulation.firing_rate)} spikes per neuron and "
            f"step; {amount(e.additions)} additions of spikes by real fan-out, {amount(e.graded)} events that carry "
            f"values, {amount(e.dense)} multiply-accumulates that no event drives (the input's are computed once); the "
            f"ANN needs {amount(float(e.multiply_accumulates))} multiply-accumulates. Its fair rival is the same "
            f"network with {e.bits}-bit activations. Models of counted operations, not measurements.",
        },
        graph=graph_part(report),
        passes={"columns": pass_table.columns, "rows": pass_table.rows},
    )
