# SPDX-License-Identifier: Apache-2.0
"""The files of a bundle, from a finished conversion."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import onnx

from snncc.ann.truth import Truth
from snncc.bundles import manifest as manifests
from snncc.bundles.bundle import model_bytes, network_bytes, samples_bytes
from snncc.bundles.manifest import Manifest
from snncc.bundles.targets import EmitOptions, Source, Target, emit_files
from snncc.conversion import pipeline
from snncc.conversion.pipeline import Progress, quiet
from snncc.conversion.recipe import Recipe
from snncc.data.dataset import Dataset
from snncc.data.description import described
from snncc.encoding import encode, sha256
from snncc.frontend.normal.samples import Dims
from snncc.integer.part import IntegerPart
from snncc.ir.text import to_text
from snncc.reports import make
from snncc.reports.document import Search
from snncc.reports.make import with_notes


def timings(seconds: Mapping[str, float]) -> dict[str, Any]:
    """What is outside every hash: when, on what and how long."""
    hardware = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
    return {
        "seconds": dict(seconds),
        "hardware": hardware,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def bundle_files(
    outcome: pipeline.Outcome,
    proto: onnx.ModelProto,
    chosen: Recipe,
    calibration: Dataset,
    samples: Dataset,
    truth: Truth,
    *,
    name: str,
    timesteps: int,
    seed: int,
    shapes: Mapping[str, Dims],
    emit: Target,
    emit_options: EmitOptions,
    search: Search | None = None,
    progress: Progress = quiet,
) -> tuple[dict[str, bytes], Manifest, tuple[str, ...]]:
    """The bytes of every hashed file of a bundle, its manifest, and the notes of the emitted target."""
    network = outcome.network
    document, weights = network_bytes(network)
    source = model_bytes(proto)
    files = {
        "network.json": document,
        "network.txt": to_text(network).encode(),
        "weights.safetensors": weights,
        "ann.onnx": source,
        "samples.npz": samples_bytes(samples),
    }
    emitted = Source(
        network=network,
        name=name,
        method=chosen.name,
        timesteps=timesteps,
        samples=samples,
        truth=truth,
        calibration=calibration,
    )
    notes: tuple[str, ...] = ()
    integer: IntegerPart | None = None
    for target in dict.fromkeys(("torch", emit)):
        made = emit_files(target, emitted, emit_options)
        files, notes = files | dict(made.files), tuple(dict.fromkeys(notes + made.notes))
        integer = made.integer or integer
    manifest = Manifest(
        name=name,
        method=chosen.name,
        model_sha256=sha256(source),
        shapes={key: tuple(dims) for key, dims in shapes.items()},
        timesteps=timesteps,
        seed=seed,
        recipe=chosen,
        versions=manifests.versions(),
        preprocessing=calibration.preprocessing,
        calibration=described(calibration),
        samples=described(samples),
        records=tuple(outcome.records),
        certificate=outcome.certificate,
        files={},
    )
    now = {key: sha256(data) for key, data in files.items()}
    report = make.first_report(network, manifest, truth, samples, manifest.samples, now, progress)
    report = with_notes(report, emit, notes)
    files |= make.report_files(msgspec.structs.replace(report, search=search, integer=integer))
    hashes = {key: sha256(data) for key, data in files.items()}
    manifest = manifests.with_files(manifest, hashes)
    return {**files, "manifest.json": encode(manifest)}, manifest, notes
