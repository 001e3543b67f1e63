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

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 20, 40


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


def wide(layers: int) -> float:
    """The width of a chart with one place for each layer."""
    return min(1180.0, max(340.0, LEFT + RIGHT + 40.0 * layers))


def numbered(layers: int, width: float) -> list[int]:
    """The layers whose number fits below a chart of some width."""
    return list(range(0, layers, max(1, math.ceil(layers * 24 / width))))


def round_marks(low: float, high: float, most: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two values, at most so many and zero among them."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= least)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


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


def fraction_axis(least: float) -> tuple[Axis, list[tuple[float, str]]]:
    """The axis of fractions from `least` on, from a round percentage to 100 %, and its marks."""
    base, step = next(((b, s) for b, s in ((90, 2), (75, 5), (50, 10)) if 100 * least >= b), (0, 25))
    up = Axis(base / 100, 1, HEIGHT - BOTTOM, TOP)
    return up, [(up(v / 100), f"{v} %") for v in range(base, 101, step)]


def frame(
    x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str, width: float = WIDTH
) -> Markup:
    """Grid, ticks and the name of the horizontal axis."""
    return join(
        [
            *(line(LEFT, y, width - RIGHT, y, "grid") for y, _ in y_ticks),
            *(text(LEFT - 6, y + 4, words, anchor="end") for y, words in y_ticks),
            *(text(x, HEIGHT - BOTTOM + 15, words) for x, words in x_ticks),
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


def drawn(one: Series, across: Callable[[float], float], up: Callable[[float], float]) -> list[Markup]:
    """The band, the line and the dots of a series."""
    places, parts = [(across(x), up(y)) for x, y, _ in one.places], list[Markup]()
    if one.band:
        lower = [(x, up(low)) for (x, _), (low, _) in zip(places, one.band, strict=True)]
        upper = [(x, up(high)) for (x, _), (_, high) in zip(places, one.band, strict=True)]
        edges = " ".join(f"{number(x)},{number(y)}" for x, y in [*lower, *reversed(upper)])
        parts.append(Markup('<polygon points="{}" class="{}"/>').format(edges, f"band {one.kind}"))
    parts.append(polyline(places, f"line {one.kind}{' dashed' if one.dashed else ''}"))
    tips = [] if one.dashed else [tip for _, _, tip in one.places]
    return [*parts, *(dot(x, y, one.kind, tip) for (x, y), tip in zip(places, tips, strict=False))]


def against_steps(name: str, label: str, series: Sequence[Series], levels: Sequence[tuple[float, str, str]]) -> Markup:
    """Fractions against T; `levels` are horizontal lines (value, class, words)."""
    steps = sorted({int(x) for one in series for x, _, _ in one.places})
    across, ticks = steps_axis(steps)
    least = min([*(y for one in series for _, y, _ in one.places), *(low for one in series for low, _ in one.band)])
    up, marks = fraction_axis(min([least, *(value for value, _, _ in levels)]))
    parts = [
        frame([(across(t), str(t)) for t in ticks], marks, "time steps T"),
        *(line(LEFT, up(value), WIDTH - RIGHT, up(value), kind) for value, kind, _ in levels),
        *(text(LEFT + 6, up(value) - 5, words, anchor="start", kind="tick") for value, _, words in levels),
    ]
    parts += [part for one in series for part in drawn(one, across, up)]
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
) -> Markup:
    """Positive values of layers in order, logarithmic, one line for each series; None leaves a gap."""
    low, high = decades(v for _, column in series for v in column if v is not None)
    up = Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic=True)
    count = round(math.log10(high / low))
    marks = [low * 10.0**i for i in range(0, count + 1, max(1, count // 4))]
    width = wide(len(layers))
    across = Axis(0, max(1, len(layers) - 1), LEFT + 8, width - RIGHT - 8)
    ticks = [(across(i), str(i + 1)) for i in numbered(len(layers), width)]
    parts = [frame(ticks, [(up(v), show(v)) for v in marks], "layer, from the input", width)]
    for kind, column in series:
        known = [(i, v) for i, v in enumerate(column) if v is not None]
        parts.append(polyline([(across(i), up(v)) for i, v in known], f"line {kind}"))
        parts += [dot(across(i), up(v), kind, f"{i + 1} {layers[i]}: {kind} {show(v)}", 3.5) for i, v in known]
    return svg(label, join(parts), width=width, name=name)


def columns(
    name: str,
    label: str,
    layers: Sequence[str],
    values: Sequence[float],
    show: Callable[[float], str],
    x_name: str = "layer, from the input",
) -> Markup:
    """One bar per layer (or step), from zero up or down."""
    low, high = min(0.0, *values, 0.0), max(*values, 1e-9, 1e-9)
    across = wide(len(layers))
    up, width = Axis(low, high, HEIGHT - BOTTOM, TOP), (across - LEFT - RIGHT) / max(1, len(values))
    ticks = [(LEFT + (i + 0.5) * width, str(i + 1)) for i in numbered(len(layers), across)]
    marks = [(up(v), show(v)) for v in round_marks(low, high)]
    bars = [
        bar(
            LEFT + (i + 0.15) * width,
            min(up(v), up(0)),
            0.7 * width,
            max(0.5, abs(up(v) - up(0))),
            "own",
            f"{i + 1} {layers[i]}: {show(v)}",
        )
        for i, v in enumerate(values)
    ]
    zero = line(LEFT, up(0), across - RIGHT, up(0), "axis")
    return svg(label, join([frame(ticks, marks, x_name, across), *bars, zero]), width=across, name=name)


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
    cell, size, bottom = max(5.0, min(28.0, 336 / max(1, steps))), 5.0, 24.0
    height = max(1, len(rows)) * size
    box = f"h{number(cell - 1)}v{number(size - 1)}h{number(1 - cell)}z"
    marked = sorted({1, *round_marks(1, steps, 8), steps} if steps > 1 else {1})
    parts = [line(0, height + 0.5, steps * cell, height + 0.5, "axis")]
    parts += [text((t - 0.5) * cell, height + 12, number(t)) for t in marked if t == int(t)]
    parts.append(text(steps * cell / 2, height + bottom, "time steps"))
    for sign, kind in (("+", "up"), ("-", "down")):
        marks = "".join(
            f"M{number(t * cell + 0.5)} {number(i * size + 0.5)}{box}"
            for i, row in enumerate(rows)
            for t, found in enumerate(row)
            if found == sign
        )
        if marks:
            parts.append(Markup('<path d="{}" class="{}"/>').format(marks, kind))
    return svg(label, join(parts), width=steps * cell, height=height + bottom + 2, name="raster")
