# SPDX-License-Identifier: Apache-2.0
"""Passes applied one after the other, each followed by the checks that every network must stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snncc.ann.truth import Truth
from snncc.conversion.recipe import Step
from snncc.conversion.shapes import check_shapes
from snncc.ir.check import check
from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A pass that has run: the networks before and after it, and whether they are the same; the nodes that changed;
    whether an earlier pass approximated."""

    step: Step
    before: Network
    after: Network
    same: bool
    changed: tuple[str, ...]
    approximated: bool


def changed_nodes(before: Network, after: Network) -> tuple[str, ...]:
    """The nodes that are new, differ, or refer to an array that was exchanged."""
    return tuple(
        node.name
        for node in after.nodes
        if before.by_name.get(node.name) != node
        or any(before.arrays.get(name) is not after.arrays[name] for name in node.array_names())
    )


def precision_notes(truth: Truth) -> list[Note]:
    """A line for each float input of another width than the network's, which is float32."""
    others = [s for s in truth.inputs if s.dtype.kind in "fV" and s.dtype != np.float32]
    return [
        Note(kind="approximation", node=s.name, text=f"the file computes in {s.dtype}, the network in float32")
        for s in others
    ]


def applied(network: Network, steps: Sequence[Step], context: Context) -> Iterator[Applied]:
    """Run the passes; `context` holds the notes, bound and fidelity of the one that has just run.

    Raises InvariantBroken, naming the pass, where one leaves an unsound network.
    """
    for index, step in enumerate(steps):
        name, values = step.transform.name, context.values
        context.progress(f"pass {name}", index, len(steps))
        context.notes = [] if index else precision_notes(values.truth)
        context.bound, context.fidelity = None, step.transform.fidelity
        approximated = bool(values.diverged)
        after = step.transform.apply(network, context, step.options)
        check(after, f"pass {name}")
        check_shapes(after, f"pass {name}")
        same, changed = network == after, changed_nodes(network, after)
        if not same and after.stage == "ann":
            values.network = after
            if context.fidelity is not Fidelity.EXACT:
                values.diverge(changed)
        yield Applied(step=step, before=network, after=after, same=same, changed=changed, approximated=approximated)
        network = after
