# SPDX-License-Identifier: Apache-2.0
"""SVG charts, written by hand: lines use currentColor, series have classes, points carry their numbers as text.

Every chart has a view box and no fixed width, so that it fits the page. A point has `data-tip`, which the page's
script shows, a `<title>` for readers without it, and can be reached with the keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snncc.frontend.names import safe_name

WIDTH, WIDE, HEIGHT = 480, 900, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 34


def join(parts: Iterable[Markup]) -> Markup:
    """Pieces of SVG in order."""
    return Markup("").join(parts)


def number(value: float) -> str:
    """A coordinate with one decimal."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def svg(label: str, body: Markup, *, width: float = WIDTH, height: float = HEIGHT, name: str = "") -> Markup:
    """A chart of at most its natural width."""
    frame = '<svg class="chart" data-chart="{}" width="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    return Markup(frame).format(name, number(width), number(width), number(height), label, body)


def text(x: float, y: float, words: str, *, anchor: str = "middle", kind: str = "tick") -> Markup:
    """A label."""
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(
        number(x), number(y), anchor, kind, words
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*map(number, (x1, y1, x2, y2)), kind)


def polyline(places: Sequence[tuple[float, float]], kind: str) -> Markup:
    """A line through points."""
    return Markup('<polyline points="{}" class="{}"/>').format(
        " ".join(f"{number(x)},{number(y)}" for x, y in places), kind
    )


def dot(x: float, y: float, kind: str, tip: str, radius: float = 4) -> Markup:
    """A point with its numbers."""
    return Markup(
        '<circle cx="{}" cy="{}" r="{}" class="{}" tabindex="0" data-tip="{}"><title>{}</title></circle>'
    ).format(number(x), number(y), number(radius), f"point {kind}", tip, tip)


def bar(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> Markup:
    """A rectangle, with its numbers where it has any."""
    place = [number(v) for v in (x, y, width, max(0.0, height))]
    if not tip:
        return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>').format(*place, kind)
    return Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" class="{}" tabindex="0" data-tip="{}"><title>{}</title></rect>'
    ).format(*place, f"point {kind}", tip, tip)


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to coordinates, linear or logarithmic."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return self.start + (value - low) / ((high - low) or 1) * (self.stop - self.start)


def decades(values: Iterable[float]) -> tuple[float, float]:
    """The powers of ten around positive values, at most five of them."""
    positive = [v for v in values if v > 0]
    top = 10.0 ** math.ceil(math.log10(max(positive, default=1.0)))
    least = 10.0 ** math.floor(math.log10(min(positive, default=0.1)))
    return max(min(least, top / 10), top * 1e-5), top


def steps_axis(steps: Sequence[int]) -> tuple[Axis, list[int]]:
    """The axis of T, logarithmic, and its ticks."""
    axis = Axis(min(steps), max(steps), LEFT, WIDTH - RIGHT, logarithmic=True)
    ticks = [t for t in steps if t & (t - 1) == 0 or t == max(steps)]
    kept: list[int] = []
    for t in ticks:
        if not kept or axis(t) - axis(kept[-1]) > 24:
            kept.append(t)
        elif t == max(steps):
            kept[-1] = t
    return axis, kept


def frame(
    x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str, width: float = WIDTH
) -> Markup:
    """Grid, ticks and the name of the horizontal axis."""
    return join(
        [
            *(line(LEFT, y, width - RIGHT, y, "grid") for y, _ in y_ticks),
            *(text(LEFT - 6, y + 4, words, anchor="end") for y, words in y_ticks),
            *(text(x, HEIGHT - BOTTOM + 16, words) for x, words in x_ticks),
            text((LEFT + width - RIGHT) / 2, HEIGHT - 4, x_name),
        ]
    )


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its class, and (x, value, tip) of its points; `band` are (low, high) of each; dashed without points."""

    kind: str
    places: Sequence[tuple[float, float, str]]
    band: Sequence[tuple[float, float]] = ()
    dashed: bool = False


def against_steps(name: str, label: str, series: Sequence[Series], levels: Sequence[tuple[float, str, str]]) -> Markup:
    """Fractions against T; `levels` are horizontal lines (value, class, words)."""
    steps = sorted({int(x) for one in series for x, _, _ in one.places})
    across, ticks = steps_axis(steps)
    up = Axis(0, 1, HEIGHT - BOTTOM, TOP)
    parts = [
        frame([(across(t), str(t)) for t in ticks], [(up(v / 4), f"{25 * v} %") for v in range(5)], "time steps T"),
        *(line(LEFT, up(value), WIDTH - RIGHT, up(value), kind) for value, kind, _ in levels),
        *(text(LEFT + 6, up(value) - 5, words, anchor="start", kind="tick") for value, _, words in levels),
    ]
    for one in series:
        places = [(across(x), up(y)) for x, y, _ in one.places]
        if one.band:
            edges = [(x, up(low)) for (x, _), (low, _) in zip(places, one.band, strict=True)]
            edges += [(x, up(high)) for (x, _), (_, high) in reversed(list(zip(places, one.band, strict=True)))]
            parts.append(
                Markup('<polygon points="{}" class="{}"/>').format(
                    " ".join(f"{number(x)},{number(y)}" for x, y in edges), f"band {one.kind}"
                )
            )
        parts.append(polyline(places, f"line {one.kind}{' dashed' if one.dashed else ''}"))
        if not one.dashed:
            tips = [tip for _, _, tip in one.places]
            parts += [dot(x, y, one.kind, tip) for (x, y), tip in zip(places, tips, strict=True)]
    return svg(label, join(parts), name=name)


def scatter(name: str, label: str, points: Sequence[tuple[float, float, str, str]], x_name: str) -> Markup:
    """Fractions against a positive quantity: (x, value, class, tip) of each point."""
    low, high = decades(x for x, _, _, _ in points)
    across = Axis(low, high, LEFT, WIDTH - RIGHT, logarithmic=True)
    up = Axis(0, 1, HEIGHT - BOTTOM, TOP)
    ticks = [10.0**e for e in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    parts = [
        frame([(across(x), f"{x:,.0f}") for x in ticks], [(up(v / 4), f"{25 * v} %") for v in range(5)], x_name),
        *(dot(across(x), up(y), kind, tip) for x, y, kind, tip in points),
    ]
    return svg(label, join(parts), name=name)


def by_layer(
    name: str,
    label: str,
    layers: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None]]],
    show: Callable[[float], str],
    *,
    logarithmic: bool,
) -> Markup:
    """Values of layers in order, one line for each series; None leaves a gap."""
    values = [v for _, column in series for v in column if v is not None]
    if logarithmic:
        low, high = decades(values)
        up = Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic=True)
        count = round(math.log10(high / low))
        marks = [low * 10.0**i for i in range(0, count + 1, max(1, count // 4))]
    else:
        low, high = min(0.0, *values, 0.0), max(*values, 1e-9, 1e-9)
        up = Axis(low, high, HEIGHT - BOTTOM, TOP)
        marks = [low + (high - low) * i / 4 for i in range(5)]
    across = Axis(0, max(1, len(layers) - 1), LEFT + 8, WIDE - RIGHT - 8)
    every = max(1, math.ceil(len(layers) / 32))
    ticks = [(across(i), str(i + 1)) for i in range(0, len(layers), every)]
    parts = [frame(ticks, [(up(v), show(v)) for v in marks], "layer, from the input", WIDE)]
    for kind, column in series:
        known = [(i, v) for i, v in enumerate(column) if v is not None]
        parts.append(polyline([(across(i), up(v)) for i, v in known], f"line {kind}"))
        parts += [
            dot(across(i), up(v), kind, f"{i + 1} {safe_name(layers[i])}: {kind} {show(v)}", 3.5) for i, v in known
        ]
    return svg(label, join(parts), width=WIDE, name=name)


def columns(
    name: str, label: str, layers: Sequence[str], values: Sequence[float], show: Callable[[float], str]
) -> Markup:
    """One bar per layer, from zero up or down."""
    low, high = min(0.0, *values, 0.0), max(*values, 1e-9, 1e-9)
    up, width = Axis(low, high, HEIGHT - BOTTOM, TOP), (WIDE - LEFT - RIGHT) / max(1, len(values))
    every = max(1, math.ceil(len(layers) / 32))
    ticks = [(LEFT + (i + 0.5) * width, str(i + 1)) for i in range(0, len(layers), every)]
    marks = [(up(low + (high - low) * i / 4), show(low + (high - low) * i / 4)) for i in range(5)]
    bars = [
        bar(
            LEFT + (i + 0.15) * width,
            min(up(v), up(0)),
            0.7 * width,
            max(0.5, abs(up(v) - up(0))),
            "own",
            f"{i + 1} {safe_name(layers[i])}: {show(v)}",
        )
        for i, v in enumerate(values)
    ]
    return svg(label, join([frame(ticks, marks, "layer, from the input", WIDE), *bars]), width=WIDE, name=name)


def histogram(label: str, activations: Sequence[int], thresholds: Sequence[int], tip: str) -> Markup:
    """A layer's positive activations (filled, logarithmic counts) and its thresholds (line below)."""
    width, height, base = 120.0, 46.0, 36.0
    top = math.log1p(max(activations, default=0)) or 1.0
    step = width / max(1, len(activations))
    path = "".join(f"V{number(base - 34 * math.log1p(c) / top)}h{number(step)}" for c in activations)
    parts = [Markup('<path d="{}" class="activations"/>').format(f"M0 {number(base)}{path}V{number(base)}z")]
    most = max(thresholds, default=0) or 1
    parts += [
        bar(i * step, height - 8 * c / most, step, 8 * c / most, "thresholds") for i, c in enumerate(thresholds) if c
    ]
    body = Markup('<g tabindex="0" class="point" data-tip="{}"><title>{}</title>{}</g>').format(tip, tip, join(parts))
    return svg(label, body, width=width, height=height, name="histogram")


def raster(label: str, rows: Sequence[str]) -> Markup:
    """Spikes: one row per neuron, one column per step, positive and negative ones as two paths."""
    steps = max((len(row) for row in rows), default=1)
    cell = max(4.0, min(14.0, WIDTH / max(1, steps)))
    size = 5.0
    box = f"h{number(cell - 1)}v{number(size - 1)}h{number(1 - cell)}z"
    paths = []
    for sign, kind in (("+", "up"), ("-", "down")):
        marks = "".join(
            f"M{number(t * cell + 0.5)} {number(i * size + 0.5)}{box}"
            for i, row in enumerate(rows)
            for t, found in enumerate(row)
            if found == sign
        )
        if marks:
            paths.append(Markup('<path d="{}" class="{}"/>').format(marks, kind))
    return svg(label, join(paths), width=steps * cell, height=max(1, len(rows)) * size, name="raster")
