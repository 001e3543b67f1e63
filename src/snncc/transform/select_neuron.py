# SPDX-License-Identifier: Apache-2.0
"""The pass `select_neuron`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
import numpy as np

from snncc.errors import RecipeError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import ACTIVATIONS, IF, Affine, Clip, LeakyIF, LeakyRelu, Node, Relu, SignedIF
from snncc.transform.base import Context, Fidelity, transform

Kind = Literal["if", "signed_if"]
Reset = Literal["subtract", "zero"]
Negative = Literal["signed", "early"]


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another neuron for the layers whose name fits `match` (shell pattern)."""

    match: str
    kind: Kind | None = None
    reset: Reset | None = None
    negative: Negative | None = None


def refuse_impossible(node: Node, kind: Kind, reset: Reset, levels: int, negative: Negative) -> None:
    """Pairs that do not exist."""
    if kind == "signed_if" and reset == "zero":
        raise RecipeError(
            f"select_neuron: {node.name}: a signed_if neuron cannot reset to zero, its memory would be wrong",
            cure="reset = subtract, or kind = if",
        )
    if isinstance(node, LeakyRelu) and reset == "zero":
        raise RecipeError(
            f"select_neuron: {node.name}: a leaky activation needs negative spikes and reset by subtraction",
            cure="reset = subtract",
        )
    if levels > 1 and (kind == "if" or negative != "early"):
        raise RecipeError(
            f"select_neuron: {node.name}: several levels exist for kind = signed_if, negative = early only",
            cure="levels = 1, or kind = signed_if with negative = early",
        )


@transform(fidelity=Fidelity.EMPIRICAL, needs={"pooling", "functions"}, gives={"neurons"})
def select_neuron(
    net: Network,
    ctx: Context,
    *,
    kind: Kind = "signed_if",
    reset: Reset = "subtract",
    negative: Negative = "signed",
    levels: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1,
    overrides: Sequence[Override] = (),
) -> Network:
    """Replace every activation by a spiking neuron (thresholds are set by `balance_thresholds`).

        if         u += x; z = [u >= threshold]; u -= z threshold (subtract) or u = 0 (zero)
        signed_if  also z = -1 where the count of what was emitted is positive and u <= -threshold (signed) or u < 0
                   (early)

    Clip(x, low, high) becomes low + a neuron with bias -low whose threshold is at most high - low, so that it
    saturates there; LeakyRelu and PRelu a two-sided signed neuron that emits phi(n[t]) - phi(n[t-1]).

    Options    kind = if | signed_if; reset = subtract | zero; negative = signed | early; levels = 1 ... 4 spikes at
               once; overrides = [{match = "pattern", kind = ..., reset = ..., negative = ...}]
    Shapes     those of the activation
    Guarantee  measured
    Refuses    signed_if or leaky activations with reset to zero; several levels without early negative spikes
    Source     doi:10.3389/fnins.2017.00682 (if), https://github.com/ppppps/ANN2SNNConversion_SNM_NeuronNorm (signed),
               doi:10.3389/fnins.2022.918793 (early)
    """
    arrays: dict[str, Array] = {"unit": np.ones((), np.float32), "zero": np.zeros((), np.float32)}

    def neuron(node: Node, name: str, inputs: tuple[str, ...]) -> Node:
        chosen = next((o for o in overrides if fnmatchcase(node.name, o.match)), Override(match=""))
        k, r, n = chosen.kind or kind, chosen.reset or reset, chosen.negative or negative
        refuse_impossible(node, k, r, levels, n)
        common = {"name": name, "inputs": inputs, "shape": node.shape, "batch": node.batch}
        common |= {"threshold": "unit", "amplitude": "unit", "v_init": "zero"}
        if isinstance(node, LeakyRelu):
            return LeakyIF(**common, slope=node.slope, negative=n, levels=levels)
        if k == "if":
            return IF(**common, reset=r)
        return SignedIF(**common, negative=n, levels=levels)

    def change(node: Node) -> Node | list[Node]:
        if not isinstance(node, ACTIVATIONS) or node.name not in net.varying:
            return node
        return neuron(node, node.name, node.inputs)

    return net.rewrite(change, arrays, stage="snn")


@transform(fidelity=Fidelity.EXACT, gives={"clips"})
def shift_clips(net: Network, ctx: Context) -> Network:
    """Write every Clip with an offset as shifts around Clip(0, high - low) or Relu, which a neuron can follow.

        clip(x, low, high) = low + clip(x - low, 0, high - low);   min(x, high) = high - relu(high - x)

    Shapes     those of the clip
    Guarantee  exact
    Refuses    nothing
    Source     doi:10.3389/fnins.2017.00682
    """
    arrays: dict[str, Array] = {}

    def affine(node: Node, name: str, source: str, sign: float, shift: float) -> Affine:
        arrays[f"{name}/scale"], arrays[f"{name}/shift"] = np.float32(sign), np.float32(shift)
        return Affine(
            name=name,
            inputs=(source,),
            shape=node.shape,
            batch=node.batch,
            scale=f"{name}/scale" if sign != 1 else None,
            shift=f"{name}/shift",
        )

    def change(node: Node) -> Node | list[Node]:
        if not isinstance(node, Clip) or node.name not in net.varying or node.low == 0:
            return node
        if node.low is None and node.high is None:
            return affine(node, node.name, node.inputs[0], 1, 0)
        sign, base = (1.0, node.low) if node.low is not None else (-1.0, node.high or 0.0)
        before, spikes = f"{node.name}.shifted", f"{node.name}.clipped"
        middle: Node = Relu(name=spikes, inputs=(before,), shape=node.shape, batch=node.batch)
        if node.low is not None and node.high is not None:
            fields = {"name": spikes, "inputs": (before,), "shape": node.shape, "batch": node.batch}
            middle = Clip(**fields, low=0.0, high=node.high - node.low)
        return [
            affine(node, before, node.inputs[0], sign, -sign * base),
            middle,
            affine(node, node.name, spikes, sign, base),
        ]

    return net.rewrite(change, arrays)
