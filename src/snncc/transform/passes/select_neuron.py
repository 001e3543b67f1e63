# SPDX-License-Identifier: Apache-2.0
"""The pass `select_neuron`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from snncc.errors import RecipeError
from snncc.ir.network import Array, Network
from snncc.ir.nodes import ACTIVATIONS, IF, LeakyIF, LeakyRelu, Node, SignedIF
from snncc.transform.base import Context, Fidelity, transform

Kind = Literal["if", "signed_if"]
Burst = Annotated[int, msgspec.Meta(ge=1, le=16)]
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
    burst: Burst = 1,
    overrides: Sequence[Override] = (),
) -> Network:
    """Replace every activation by a spiking neuron (thresholds are set by `balance_thresholds`).

        if         u += x; z = [u >= threshold]; u -= z threshold (subtract) or u = 0 (zero); with burst m > 1
                   z = clip(floor(u / threshold), 0, m), thresholds as for one spike
        signed_if  also z = -1 where the count of what was emitted is positive and u <= -threshold (signed) or u < 0
                   (early)

    Clip(x, low, high) becomes low + a neuron with bias -low whose threshold is at most high - low, so that it
    saturates there; LeakyRelu and PRelu a two-sided signed neuron that emits phi(n[t]) - phi(n[t-1]).

    Options    kind = if | signed_if; reset = subtract | zero; negative = signed | early; levels = 1 ... 4 spikes at
               once; burst = 1 ... 16 spikes at once for kind = if;
               overrides = [{match = "pattern", kind = ..., reset = ..., negative = ...}]
    Shapes     those of the activation
    Guarantee  measured
    Refuses    signed_if or leaky activations with reset to zero; several levels without early negative spikes
    Source     doi:10.3389/fnins.2017.00682 (if), https://github.com/ppppps/ANN2SNNConversion_SNM_NeuronNorm (signed),
               doi:10.3389/fnins.2022.918793 (early), arXiv:2204.13271 (burst)
    """
    arrays: dict[str, Array] = {"unit": np.ones((), np.float32), "zero": np.zeros((), np.float32)}

    def neuron(node: Node) -> Node:
        chosen = next((o for o in overrides if fnmatchcase(node.name, o.match)), Override(match=""))
        k, r, n = chosen.kind or kind, chosen.reset or reset, chosen.negative or negative
        refuse_impossible(node, k, r, levels, n)
        common: dict[str, Any] = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "batch": node.batch}
        common |= {"threshold": "unit", "amplitude": "unit", "v_init": "zero"}
        if isinstance(node, LeakyRelu):
            return LeakyIF(**common, slope=node.slope, negative=n, levels=levels)
        if k == "if":
            return IF(**common, reset=r, burst=burst)
        return SignedIF(**common, negative=n, levels=levels)

    def change(node: Node) -> Node:
        if not isinstance(node, ACTIVATIONS) or node.name not in net.varying:
            return node
        return neuron(node)

    return net.rewrite(change, arrays, stage="snn")
