# SPDX-License-Identifier: Apache-2.0
"""Gathers of gathers as one: slices, pads and reshapes in a row take their entries from where they were first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snncc.execute.native.program import Gather, Program, Step


def merged(step: Gather, before: dict[str, Gather]) -> Gather:
    """A gather that reads none of the gathers `before` it."""
    sources, tables = [], []
    for source, table in zip(step.sources, step.tables, strict=True):
        inner = before.get(source.node.name)
        if inner is None:
            sources.append(source)
            tables.append(table)
            continue
        for first, places in zip(inner.sources, inner.tables, strict=True):
            sources.append(first)
            tables.append(np.where(table >= 0, places[table], -1).astype(table.dtype))
    return replace(step, sources=tuple(sources), tables=tuple(tables))


def without_chains(program: Program) -> Program:
    """The program without gathers that other gathers alone read."""
    before: dict[str, Gather] = {}
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Gather):
            step = before[step.out.node.name] = merged(step, before)
        steps.append(step)
    read = {value.node.name for step in steps for value in step.sources} | program.between | {*program.exports}
    kept = [not isinstance(step, Gather) or step.out.node.name in read for step in steps]
    places = np.cumsum([0, *kept]).tolist()
    program.steps = [step for step, keep in zip(steps, kept, strict=True) if keep]
    program.outside = [(places[number], node) for number, node in program.outside]
    return program
