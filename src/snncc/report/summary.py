# SPDX-License-Identifier: Apache-2.0
"""`report.json`: what was lost, where and why, from the manifest and the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from snncc.ir.classes import nodes_by_class, operations, shares
from snncc.ir.network import Network

if TYPE_CHECKING:
    from snncc.manifest import Manifest
    from snncc.transform.base import Note

SCHEMA = "snncc/report/1"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a conversion. `warnings`: what a user must know before trusting a number; `notes`: every
    approximation, analog node and remark, with the pass it comes from."""

    schema: str = SCHEMA
    name: str
    method: str
    timesteps: int
    calibration: str
    warnings: list[str]
    nodes: dict[str, int]
    operations: dict[str, float]
    passes: list[PassLine]
    notes: list[NoteLine]


class PassLine(msgspec.Struct, frozen=True, kw_only=True):
    """One pass: what it promised and what was measured."""

    name: str
    fidelity: str
    stage: str
    error: float | None
    changed: int


class NoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """One remark of a pass."""

    kind: str
    node: str
    text: str
    by: str


def report(network: Network, manifest: Manifest) -> Report:
    """The report of a conversion."""
    warnings = []
    if manifest.calibration.synthetic:
        warnings.append(
            "calibrated on synthetic inputs: thresholds do not know your data; give --calib with real samples"
        )
    return Report(
        name=manifest.name,
        method=manifest.method,
        timesteps=manifest.timesteps,
        calibration=f"{manifest.calibration.count} samples of {manifest.calibration.source}",
        warnings=warnings,
        nodes=nodes_by_class(network),
        operations=shares(operations(network)),
        passes=[
            PassLine(name=r.name, fidelity=r.fidelity, stage=r.stage, error=r.error, changed=len(r.changed))
            for r in manifest.records
        ],
        notes=[note_line(note, record.name) for record in manifest.records for note in record.notes],
    )


def note_line(note: Note, by: str) -> NoteLine:
    """A note with the pass it comes from."""
    return NoteLine(kind=note.kind, node=note.node, text=note.text, by=by)
