# SPDX-License-Identifier: Apache-2.0
"""From numbers to advice: rules with stated bounds, the heaviest finding first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from snncc.conversion.recipe import Recipe
from snncc.names import safe_name
from snncc.reports.document import Advice, Attribution, Curve, Energy, Layer, rounded
from snncc.reports.text import percent, small

#: An isolated or cumulative relative error above this is worth a word.
WORTH = 0.01
#: At most so many layers are named.
NAMED = 6


def option(recipe: Recipe, name: str) -> Any:
    """The value of an option in a recipe, None where no pass has it."""
    return next((e.options[name] for e in recipe.passes if name in e.options), None)


def uses(recipe: Recipe, name: str) -> bool:
    """Whether a recipe has a pass."""
    return any(entry.use == name for entry in recipe.passes)


def saturation(layers: Sequence[Layer], recipe: Recipe) -> Iterator[Advice]:
    """Clipping is a quarter or more of the error that a layer makes by itself."""
    for layer in layers:
        if layer.clipping and layer.isolated and layer.clipping > WORTH and layer.clipping > 0.25 * layer.isolated:
            cure = "use --method matched, or a larger T"
            if uses(recipe, "balance_thresholds") and option(recipe, "percentile") not in (None, 100, 100.0):
                cure = f"raise balance_thresholds.percentile above {option(recipe, 'percentile')}, or {cure}"
            yield Advice(
                rule="saturation",
                layer=layer.name,
                finding=f"{safe_name(layer.name)} saturates: {percent(layer.saturated)} of its values exceed what its "
                f"neurons can emit, which alone makes a relative error of {small(layer.clipping)}",
                cure=cure,
                weight=layer.clipping,
            )


def coarseness(layers: Sequence[Layer], recipe: Recipe) -> Iterator[Advice]:
    """The error of a layer by itself that is not clipping: its thresholds are too coarse for T."""
    for layer in layers:
        rest = (layer.isolated or 0.0) - (layer.clipping or 0.0)
        if layer.thresholds and rest > WORTH:
            finer = option(recipe, "granularity") not in ("neuron",) and uses(recipe, "balance_thresholds")
            start = uses(recipe, "initialize_membrane") and option(recipe, "fraction") == 0
            cures = [
                *(["--set initialize_membrane.fraction=0.5 (neurons start at zero and round down)"] if start else []),
                *(["--granularity channel or neuron"] if finer else []),
                "--method matched, which chooses thresholds for T" if not uses(recipe, "match_currents") else "",
                "a larger T",
            ]
            yield Advice(
                rule="coarse",
                layer=layer.name,
                finding=f"{safe_name(layer.name)} counts too coarsely (relative error {small(layer.isolated)} by "
                "itself)",
                cure=", or ".join(c for c in cures if c),
                weight=rest,
            )


def silence(layers: Sequence[Layer], recipe: Recipe) -> Iterator[Advice]:
    """Neurons that should fire and never do."""
    for layer in layers:
        if layer.dead and layer.dead > 0.05:
            yield Advice(
                rule="dead",
                layer=layer.name,
                finding=f"{safe_name(layer.name)} has {percent(layer.dead)} dead neurons: the ANN uses them, they "
                "never fire",
                cure="a threshold per channel or neuron (--granularity), initialize_membrane.fraction=0.5, or a "
                "larger T",
                weight=layer.dead * (layer.isolated or 0.0),
            )


def wrong_spikes(layers: Sequence[Layer], recipe: Recipe) -> Iterator[Advice]:
    """Neurons that fire though the ANN's input to them is negative."""
    for layer in layers:
        if layer.sin and layer.sin > 0.05 and (layer.negative or 0.0) == 0.0 and (layer.cumulative or 0) > WORTH:
            yield Advice(
                rule="wrong spikes",
                layer=layer.name,
                finding=f"{safe_name(layer.name)}: {percent(layer.sin)} of its neurons fire though the ANN is "
                "silent there",
                cure="select_neuron.kind=signed_if takes back what was wrong",
                weight=layer.sin * (layer.isolated or 0.0),
            )


def unevenness(layers: Sequence[Layer], recipe: Recipe) -> Iterator[Advice]:
    """Charge that arrived too late to be emitted."""
    for layer in layers:
        off, alone = layer.cumulative or 0.0, layer.isolated or 0.0
        if layer.residual and layer.residual > 1 and off > max(WORTH, 4 * alone):
            yield Advice(
                rule="late charge",
                layer=layer.name,
                finding=f"{safe_name(layer.name)} keeps {small(layer.residual)} spikes of charge in its membranes at "
                f"the end, and its error is {small(off)} where it would be {small(alone)} by itself",
                cure="a larger T, select_neuron.levels=2 (several spikes at once), or --method matched",
                weight=alone,
            )


def cost_text(attribution: Attribution | None, layer: str | None) -> str:
    """What a layer costs, where substitution has found that it costs more than a sample or two."""
    line = next((x for x in attribution.layers if x.layer == layer), None) if attribution else None
    if attribution is None or line is None or line.cost * attribution.samples < 1.5:
        return ""
    whole = attribution.ann - attribution.snn
    return f"costs {100 * line.cost:.1f} of the {100 * whole:.1f} points of {attribution.metric} lost"


def losses(attribution: Attribution | None) -> Iterator[Advice]:
    """The layers that cost a twentieth of the loss or more, by substitution."""
    if attribution is None:
        return
    whole = attribution.ann - attribution.snn
    for line in attribution.layers:
        text = cost_text(attribution, line.layer)
        if text and line.cost > 0.05 * whole:
            yield Advice(
                rule="loss",
                layer=line.layer,
                finding=f"{safe_name(line.layer)} {text}",
                cure="--method matched, or another neuron for this layer (select_neuron.overrides)",
                weight=line.cost,
            )


def overall(curve: Curve, energy: Energy, analog: float, synthetic: bool) -> Iterator[Advice]:
    """What concerns no layer."""
    if synthetic:
        yield Advice(
            rule="synthetic",
            layer=None,
            finding="the thresholds were calibrated on synthetic inputs",
            cure="give --calib with some hundred real samples",
            weight=2.0,
        )
    last = curve.points[-1]
    if last.low <= curve.ann <= last.high and curve.within_one_point is not None:
        smaller = f"T={curve.within_one_point}" if curve.within_one_point < last.t else "a smaller T"
        yield Advice(
            rule="lossless",
            layer=None,
            finding=f"no loss beyond chance at T={last.t}; within one point from T={curve.within_one_point}",
            cure=f"convert for {smaller} and see whether it does",
            weight=0.0,
        )
    fair = energy.models[-1]
    if fair.quantised and fair.snn > fair.quantised:
        yield Advice(
            rule="energy",
            layer=None,
            finding=f"by the model with memory the {energy.bits}-bit ANN costs {small(fair.quantised / fair.snn)} of "
            "what the SNN costs",
            cure="fewer steps or fewer spikes; event-driven hardware that keeps potentials in place changes the model",
            weight=0.0,
        )
    if analog > 0.05:
        yield Advice(
            rule="analog",
            layer=None,
            finding=f"{percent(analog)} of the operations are fed by functions on running means, not by spikes",
            cure="such operators have no spiking form; `snncc check` names them before conversion",
            weight=0.0,
        )


RULES = (saturation, coarseness, silence, wrong_spikes, unevenness)


def advise(
    layers: Sequence[Layer],
    recipe: Recipe,
    *,
    attribution: Attribution | None,
    curve: Curve,
    energy: Energy,
    operations: Mapping[str, float],
    synthetic: bool,
) -> tuple[Advice, ...]:
    """The heaviest finding of each layer, the layers that cost most first; then what concerns the whole."""
    cost = {} if attribution is None else {line.layer: line.cost for line in attribution.layers}
    lossy = is_lossy(curve)
    hidden = [layer for layer in layers if layer.rate is not None]
    heaviest: dict[str | None, Advice] = {}
    for a in (a for rule in RULES if lossy for a in rule(hidden, recipe)):
        heaviest[a.layer] = max(heaviest.get(a.layer, a), a, key=lambda a: a.weight)
    by_layer = [with_cost(a, attribution) for a in heaviest.values()]
    by_layer += [a for a in losses(attribution) if a.layer not in heaviest]
    found = sorted(by_layer, key=lambda a: (-cost.get(a.layer or "", 0.0), -a.weight))[:NAMED]
    found += overall(curve, energy, operations.get("analog", 0.0), synthetic)
    return tuple(msgspec.structs.replace(a, weight=rounded(a.weight) or 0.0) for a in found)


def is_lossy(curve: Curve) -> bool:
    """Whether the network does not reach its ANN, as far as the samples can tell."""
    return curve.within_one_point is None or not curve.points[-1].low <= curve.ann <= curve.points[-1].high


def with_cost(advice: Advice, attribution: Attribution | None) -> Advice:
    """A finding and what its layer costs."""
    text = cost_text(attribution, advice.layer)
    return msgspec.structs.replace(advice, finding=f"{advice.finding}; {text}") if text else advice
