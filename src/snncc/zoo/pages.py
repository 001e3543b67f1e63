# SPDX-License-Identifier: Apache-2.0
"""A batch as CSV, as JUnit XML, as a page and as a table; they only render."""

from __future__ import annotations

import csv
import io
from urllib.parse import quote
from xml.etree import ElementTree as ET

import msgspec

from snncc.names import safe_name
from snncc.reports.page import rendered
from snncc.reports.tables import Cell, Column, Table, figure, word
from snncc.reports.text import percent, points, small
from snncc.zoo.results import ModelEntry, Summary

COLUMNS = (
    "name",
    "model",
    "method",
    "status",
    "timesteps",
    "levels",
    "metric",
    "ann",
    "value",
    "drop",
    "error",
    "within_one_point",
    "samples",
    "synthetic",
    "spiking",
    "firing_rate",
    "synaptic_operations",
    "approximations",
)
NAME = "snncc batch"


def missed(entry: ModelEntry) -> str:
    """The gates that a model does not meet, in words."""
    return "; ".join(f"{g.gate}: {g.reason}" for g in entry.gates if not g.passed)


def csv_table(found: Summary) -> bytes:
    """One row per model."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, "failure", "gates"])
    for entry in found.entries:
        values = msgspec.to_builtins(entry.result)
        failure = entry.result.failure
        shown = ["" if values[key] is None else values[key] for key in COLUMNS]
        why = safe_name(f"{failure.kind}: {failure.message}") if failure else ""
        writer.writerow([*shown, why, safe_name(missed(entry))])
    return stream.getvalue().encode(errors="replace")


def junit(found: Summary) -> bytes:
    """One test case per model: an error where it was not converted, a failure for its gates."""
    broken = sum(any(not g.passed and g.gate != "converts" for g in e.gates) for e in found.entries)
    counts = {"tests": str(found.models), "failures": str(broken), "errors": str(found.failed)}
    root = ET.Element("testsuites", {"name": NAME, **counts})
    suite = ET.SubElement(root, "testsuite", {"name": NAME, **counts})
    for entry in found.entries:
        result = entry.result
        case = ET.SubElement(suite, "testcase", classname=f"snncc.{result.method}", name=result.name)
        if result.failure is not None:
            text = safe_name(result.failure.message)
            ET.SubElement(case, "error", type=result.failure.kind, message=text).text = text
        for gate in entry.gates:
            if not gate.passed and gate.gate != "converts":
                text = safe_name(f"{gate.gate} {gate.limit:g}: {gate.reason}")
                ET.SubElement(case, "failure", type=gate.gate, message=text).text = text
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def table(found: Summary) -> Table:
    """Models down."""
    columns = (
        Column("model", False),
        Column("method", False),
        Column("T"),
        Column("ANN"),
        Column("SNN"),
        Column("drop", help="points"),
        Column("within 1 from", help="the first T measured from which on the SNN stays within one point of the ANN"),
        Column("spiking", help="share of the operations that spikes feed"),
        Column("error", help="squared error of the output over its power"),
        Column("result", False),
    )
    return Table(columns, [row(entry) for entry in found.entries])


def row(entry: ModelEntry) -> list[Cell]:
    """One model."""
    r = entry.result
    first = r.within_one_point
    return [
        word(r.name),
        word(r.method),
        figure(r.timesteps, "-" if r.timesteps is None else str(r.timesteps)),
        figure(r.ann, percent(r.ann) if r.metric == "accuracy" else "-"),
        figure(r.value, percent(r.value)),
        figure(r.drop, points(None if r.drop is None else 0.0 - r.drop)),
        figure(first, "-" if first is None else f"T={first}"),
        figure(r.spiking, percent(r.spiking)),
        figure(r.error, small(r.error)),
        word(outcome(entry)),
    ]


def outcome(entry: ModelEntry) -> str:
    """How it went, in a word or two."""
    failure, gates = entry.result.failure, [g.gate for g in entry.gates if not g.passed]
    if failure is not None:
        return failure.kind
    return f"misses {', '.join(gates)}" if gates else "synthetic inputs" if entry.result.synthetic else "converted"


def remarks(found: Summary) -> list[str]:
    """Why models were not converted or miss their gates."""
    lines = []
    for entry in found.entries:
        failure = entry.result.failure
        if failure is not None:
            lines.append(f"{entry.result.name}: {failure.kind}: {safe_name(failure.message)}")
        elif text := missed(entry):
            lines.append(f"{entry.result.name}: {safe_name(text)}")
    return lines


def verdict(found: Summary) -> str:
    """The batch in one line."""
    gates = f", {found.gates_failed} gates not met" if found.gates_failed else ", all gates met"
    return f"{found.converted} of {found.models} models converted, {found.failed} not{gates}"


def index_page(found: Summary) -> bytes:
    """The page that links the reports."""
    shown = table(found)
    links = [f"{quote(e.result.bundle)}/report.html" if e.result.bundle is not None else None for e in found.entries]
    return rendered(
        "batch.html",
        verdict=verdict(found),
        columns=shown.columns,
        lines=[{"link": link, "cells": cells} for link, cells in zip(links, shown.rows, strict=True)],
        remarks=remarks(found),
        version=found.version,
    )
