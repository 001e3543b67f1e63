# SPDX-License-Identifier: Apache-2.0
"""What a bundle holds of a finished conversion."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from typing import Any

from snncc.bundles import manifest as manifests
from snncc.bundles.bundle import model_bytes, network_bytes, samples_bytes
from snncc.bundles.manifest import Manifest
from snncc.conversion.pipeline import Outcome
from snncc.conversion.request import Request, Subject
from snncc.data.description import described
from snncc.encoding import sha256
from snncc.ir.network import Network
from snncc.ir.text import to_text


def timings(seconds: Mapping[str, float]) -> dict[str, Any]:
    """What is outside every hash: when, on what and how long."""
    hardware = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
    return {
        "seconds": dict(seconds),
        "hardware": hardware,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def contents(given: Subject, network: Network) -> dict[str, bytes]:
    """The files that every bundle has: the network, the ANN and the samples."""
    document, weights = network_bytes(network)
    return {
        "network.json": document,
        "network.txt": to_text(network).encode(),
        "weights.safetensors": weights,
        "ann.onnx": model_bytes(given.model),
        "samples.npz": samples_bytes(given.samples),
    }


def first_manifest(request: Request, outcome: Outcome) -> Manifest:
    """The manifest of a conversion, without its files."""
    given = request.subject
    return Manifest(
        name=given.name,
        method=request.recipe.name,
        model_sha256=sha256(model_bytes(given.model)),
        shapes={key: tuple(dims) for key, dims in given.shapes.items()},
        timesteps=request.timesteps,
        seed=request.seed,
        recipe=request.recipe,
        versions=manifests.versions(),
        preprocessing=given.calibration.preprocessing,
        calibration=described(given.calibration),
        samples=described(given.samples),
        records=tuple(outcome.records),
        certificate=outcome.certificate,
        files={},
    )


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """The hash of each file."""
    return {name: sha256(data) for name, data in files.items()}
