# SPDX-License-Identifier: Apache-2.0
"""How numbers and the names of layers read: the page and the console use the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from snncc.conversion.certify import Certificate
from snncc.names import safe_name
from snncc.reports.document import Curve, Report
from snncc.simulation.run import Simulation

DASH = "-"
#: Characters of a path beyond which its front is left out.
LONGEST = 28
PREFIXES = (
    *((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
    *((1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p")),
)


def percent(value: float | None) -> str:
    """A fraction as a percentage."""
    return DASH if value is None else f"{100 * value:.1f} %"


def interval(low: float, high: float) -> str:
    """An interval of fractions."""
    return f"{100 * low:.1f} to {percent(high)}"


def points(value: float | None) -> str:
    """A difference of fractions in points."""
    if value is None:
        return DASH
    text = f"{100 * value:+.1f}"
    return text if float(text) else "0.0"


def small(value: float | None) -> str:
    """A number with three digits."""
    return DASH if value is None else f"{value:.3g}"


def count(value: float | None) -> str:
    """A count, thousands separated."""
    return DASH if value is None else f"{value:,.0f}"


def amount(value: float | None) -> str:
    """A large number with a prefix: 1.23 M."""
    return DASH if value is None else quantity(value, "").rstrip()


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit and a prefix: 1.23 MSOP; picojoules and microjoules as joules, 1.9 µJ."""
    if value is None:
        return DASH
    power, name = {"pJ": (1e-12, "J"), "uJ": (1e-6, "J")}.get(unit, (1.0, unit))
    size = abs(value) * power
    fits = PREFIXES if name == "J" else PREFIXES[:5]
    scale, prefix = next((pair for pair in fits if size >= 0.9995 * pair[0]), fits[-1])
    return f"{value * power / scale:.3g} {prefix}{name}"


def at(value: int | None) -> str:
    """A T, or that it was not reached."""
    return "not reached" if value is None else f"T={value}"


def ratio(value: float, other: float | None) -> str:
    """How many times another value this one is."""
    return DASH if not other else f"{value / other:.3g}×"


def lost(value: float, cause: str) -> str:
    """A loss of either sign: 1.2 points lost to a cause, or regained by it."""
    return f"{abs(100 * value):.1f} points {'regained by' if value < 0 else 'lost to'} {cause}"


def loss_split(curve: Curve) -> str:
    """Where the loss at the last T comes from, by the quantised reference; empty where that was not run."""
    last = curve.points[-1]
    if last.reference is None or last.quantisation is None or last.asynchrony is None:
        return ""
    return (
        f"at T={last.t} the quantised reference has {percent(last.reference)} {curve.metric}: "
        f"{lost(last.quantisation, 'quantisation')}, {lost(last.asynchrony, 'asynchrony')}"
    )


def early_exit_text(found: Simulation) -> str:
    """What early exit saves and what it changes; empty where it was not measured."""
    if (early := found.early_exit) is None:
        return ""
    saved = f", {percent(early.synaptic_operations / found.synaptic_operations)} of the synaptic operations"
    return (
        f"early exit at a margin of {small(early.margin)}: {early.mean_steps:.2f} of {found.timesteps} steps on average"
        f"{saved if found.synaptic_operations else ''}; {percent(early.changed)} of the samples choose otherwise than "
        f"after all steps"
    )


def verdict(report: Report) -> str:
    """The report in one line."""
    curve = report.curves[0]
    last = curve.points[-1]
    reached = f"{percent(last.value)} {curve.metric}"
    if curve.metric == "accuracy":
        reached += f" (ANN {percent(curve.ann)})"
    else:
        reached += " with the ANN"
    reached += f", {curve.samples} samples, 95 % interval {interval(last.low, last.high)}"
    bare, whole = report.energy.models[-2:]
    parts = [
        f"{safe_name(report.name)} by {report.method} at T={last.t}: {reached}",
        f"within one point of the ANN from {at(curve.within_one_point)}"
        if curve.within_one_point
        else "not within one point of the ANN",
        f"lossless at {at(curve.lossless)}" if curve.lossless else "not lossless",
        f"{percent(report.operations.get('spikes'))} of the operations are fed by spikes",
        (
            f"{ratio(bare.snn, bare.quantised)} the energy of the {report.energy.bits}-bit ANN by arithmetic, "
            f"{ratio(whole.snn, whole.quantised)} with memory (modelled)"
        ),
    ]
    return "; ".join(parts)


def certificate_text(found: Certificate) -> str:
    """What the lossless certificate says."""
    where = f"over {found.neurons:,} neurons and {found.samples} samples"
    if found.settled is None:
        return f"certificate: spikes had not settled at T={found.steps} {where}"
    rest = f", first {found.first}" if found.first else ""
    rounded = f"; against the ANN before rounding {found.moved:,} levels differ" if found.moved else ""
    return f"certificate: settled at T={found.settled} {where}: {found.mismatches:,} mismatches{rest}{rounded}"


def short_name(name: str) -> str:
    """A name without what exporters repeat: `/layer1/layer1.0/Relu_1_output_0` reads `layer1.0/Relu_1`."""
    parts = [part for part in safe_name(name).removesuffix("_output_0").split("/") if part] or [safe_name(name)]
    parts = [part for part, after in pairwise(parts) if not after.startswith(f"{part}.")] + parts[-1:]
    kept = len(parts)
    while kept > 1 and len("/".join(parts[-kept:])) > LONGEST:
        kept -= 1
    return "/".join(["…", *parts[-kept:]] if kept < len(parts) else parts)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name's short form; the full one where two would be the same."""
    short = {name: short_name(name) for name in names}
    times = Counter(short.values())
    return {name: text if times[text] == 1 else safe_name(name) for name, text in short.items()}
