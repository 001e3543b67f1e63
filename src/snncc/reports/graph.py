# SPDX-License-Identifier: Apache-2.0
"""The drawing of a network: one row per node, edges in lanes beside it, the class as a colour and a word."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from snncc.names import safe_name
from snncc.reports.charts import bar, dot, join, number, svg, text
from snncc.reports.document import GraphNode
from snncc.reports.text import percent

ROW, LANE, MOST = 18.0, 9.0, 400
SHAPES = 40  # characters of a name that fit


def lanes(nodes: Sequence[GraphNode]) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The lane of each node, and the edges as (row, row, lane): a value keeps its lane until its last reader."""
    row = {node.name: i for i, node in enumerate(nodes)}
    last = {node.name: i for i, node in enumerate(nodes)}
    for i, node in enumerate(nodes):
        for name in node.inputs:
            if name in last:
                last[name] = i
    free: list[int] = []  # per lane the row up to which it is taken
    lane: list[int] = []
    for i, node in enumerate(nodes):
        found = next((k for k, until in enumerate(free) if until <= i), len(free))
        if found == len(free):
            free.append(0)
        free[found] = max(last[node.name], i + 1)
        lane.append(found)
    edges = [(row[name], i, lane[row[name]]) for i, node in enumerate(nodes) for name in node.inputs if name in row]
    return lane, edges


def shown(nodes: Sequence[GraphNode]) -> list[GraphNode]:
    """The nodes that are drawn: all, or where they are very many those that compute or are not linear."""
    drawn = [n for n in nodes if n.role != "static"]
    if len(drawn) > MOST:
        drawn = [n for n in drawn if n.role != "linear" or n.share > 0]
    return drawn[:MOST]


def network_graph(nodes: Sequence[GraphNode]) -> Markup:
    """The drawing."""
    drawn = shown(nodes)
    lane, edges = lanes(drawn)
    left = (max(lane, default=0) + 2) * LANE
    most = max((node.share for node in drawn), default=0) or 1

    def x(at: int) -> float:
        return (at + 1) * LANE

    def y(row: int) -> float:
        return (row + 0.5) * ROW

    parts = []
    for start, stop, at in edges:
        bend = y(stop) - ROW * 0.6
        parts.append(
            Markup('<path d="{}" class="edge"/>').format(
                f"M{number(x(at))} {number(y(start))}V{number(bend)}L{number(x(lane[stop]))} {number(y(stop))}"
            )
        )
    for i, node in enumerate(drawn):
        name = safe_name(node.name)
        tip = f"{name}: {node.kind}, {node.role}, {percent(node.share)} of the multiply-accumulates"
        short = name if len(name) <= SHAPES else f"…{name[1 - SHAPES :]}"
        parts += [
            dot(x(lane[i]), y(i), node.role, tip, 4),
            text(left, y(i) + 4, short, anchor="start", kind="name"),
            text(left + 270, y(i) + 4, f"{node.kind}, {node.role}", anchor="start", kind="tick"),
        ]
        if node.share:
            parts.append(bar(left + 420, y(i) - 4, max(1.0, 90 * node.share / most), 8, node.role))
            parts.append(text(left + 514, y(i) + 4, percent(node.share), anchor="start", kind="tick"))
    return svg("the network", join(parts), width=left + 560, height=max(1, len(drawn)) * ROW, name="graph")
