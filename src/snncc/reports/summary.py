# SPDX-License-Identifier: Apache-2.0
"""The report of a conversion or a simulation: what was lost, where and why, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from snncc.bundles.manifest import Manifest
from snncc.encoding import encode, sha256
from snncc.ir.analysis import multiply_accumulates
from snncc.ir.classes import edge_kinds, node_class, nodes_by_class, operations, shares
from snncc.ir.network import Network
from snncc.ir.nodes import Differential, Neuron
from snncc.reports.curve import curves
from snncc.reports.diagnosis import advise
from snncc.reports.document import (
    SCHEMA,
    Attribution,
    Edge,
    GraphNode,
    NoteLine,
    Origin,
    PassLine,
    Report,
    rounded,
)
from snncc.reports.energy import energy
from snncc.reports.measure import Findings
from snncc.reports.statistics import kind_of
from snncc.reports.text import verdict
from snncc.simulation.run import Simulation
from snncc.transform.base import Note

__all__ = ["SCHEMA", "Report", "report", "with_simulation"]

#: The warning of a network whose float inputs reach no activation.
SILENT = "no neuron stands in this network: no activation depends on a float input"


def report(
    network: Network,
    manifest: Manifest,
    findings: Findings,
    hashes: Mapping[str, str],
    *,
    attribution: Attribution | None = None,
) -> Report:
    """The report of a network; `hashes` are those of its files."""
    warnings = []
    if manifest.calibration.synthetic:
        warnings.append(
            "calibrated on synthetic inputs: thresholds do not know your data; give --calib with real samples"
        )
    if findings.measured.synthetic:
        warnings.append("measured on synthetic inputs: accuracy and errors say little about your data")
    if not any(isinstance(node, Neuron) and node.name in network.varying for node in network.nodes):
        warnings.append(SILENT)
    warnings += [line.text for line in tail_lines(network)[:1]]
    made = Report(
        name=manifest.name,
        method=manifest.method,
        timesteps=manifest.timesteps,
        verdict="",
        calibration=f"{manifest.calibration.count} samples of {manifest.calibration.source}",
        warnings=tuple(warnings),
        nodes=nodes_by_class(network),
        operations={name: rounded(share) or 0.0 for name, share in shares(operations(network)).items()},
        passes=tuple(
            PassLine(
                name=r.name, fidelity=r.fidelity, stage=r.stage, error=r.error, changed=len(r.changed), bound=r.bound
            )
            for r in manifest.records
        ),
        notes=(
            *tail_lines(network),
            *(note_line(note, record.name) for record in manifest.records for note in record.notes),
        ),
        simulation=findings.simulation,
        curves=curves(findings.simulation, network.outputs),
        measured=findings.measured,
        layers=findings.layers,
        rasters=findings.rasters,
        graph=graph(network),
        edges=tuple(Edge(source=a, reader=b, carries=c) for (a, b), c in edge_kinds(network).items()),
        energy=energy(network, findings.simulation),
        advice=(),
        attribution=attribution,
        certificate=manifest.certificate,
        origin=origin(manifest, hashes),
    )
    return concluded(made, manifest)


def with_simulation(base: Report, network: Network, manifest: Manifest, simulation: Simulation) -> Report:
    """The report of a bundle with the curve and the energy of another simulation; the layers stay as measured."""
    warnings = [w for w in base.warnings if not w.startswith("measured on")]
    if simulation.synthetic:
        warnings.append("measured on synthetic inputs: accuracy and errors say little about your data")
    changed = msgspec.structs.replace(
        base,
        warnings=tuple(warnings),
        simulation=simulation,
        curves=curves(simulation, network.outputs),
        energy=energy(network, simulation),
    )
    return concluded(changed, manifest)


def concluded(made: Report, manifest: Manifest) -> Report:
    """The report with its verdict and its advice."""
    advice = advise(
        made.layers,
        manifest.recipe,
        attribution=made.attribution,
        curve=made.curves[0],
        energy=made.energy,
        operations=made.operations,
        synthetic=manifest.calibration.synthetic,
    )
    return msgspec.structs.replace(made, verdict=verdict(made), advice=advice)


def graph(network: Network) -> tuple[GraphNode, ...]:
    """Every node with its class and its share of the multiply-accumulates."""
    inner = {n.name: n.function if isinstance(n, Differential) else n for n in network.nodes}
    counts = {name: multiply_accumulates(network, node) for name, node in inner.items()}
    found = shares(counts)
    return tuple(
        GraphNode(
            name=node.name,
            kind=kind_of(node),
            role=node_class(network, node),
            inputs=tuple(dict.fromkeys(node.inputs)),
            share=rounded(found[node.name]) or 0.0,
        )
        for node in network.nodes
    )


def origin(manifest: Manifest, hashes: Mapping[str, str]) -> Origin:
    """The reproducibility block."""
    return Origin(
        model_sha256=manifest.model_sha256,
        network_sha256=hashes["network.json"],
        weights_sha256=hashes["weights.safetensors"],
        recipe_sha256=sha256(encode(manifest.recipe)),
        seed=manifest.seed,
        versions=manifest.versions,
        passes=tuple(
            " ".join([entry.use, *(f"{key}={value}" for key, value in sorted(entry.options.items()))])
            for entry in manifest.recipe.passes
        ),
        preprocessing=msgspec.json.encode(manifest.preprocessing, order="deterministic").decode(),
    )


def tail_lines(network: Network) -> tuple[NoteLine, ...]:
    """The line that names an analog tail."""
    if (tail := network.analog_tail) is None:
        return ()
    text = f"analog tail: {tail} run in onnxruntime on the outputs at read-out; curves are measured in front of them"
    return tuple(NoteLine(kind="analog", node=name, text=text, by="lowering") for name in tail.outputs)


def note_line(note: Note, by: str) -> NoteLine:
    """A note with the pass it comes from."""
    return NoteLine(kind=note.kind, node=note.node, text=note.text, by=by)
