# SPDX-License-Identifier: Apache-2.0
"""`manifest.json`: where a bundle comes from, how it was made, and the hash of every file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import msgspec

from snncc.conversion.certify import Certificate
from snncc.conversion.pipeline import Record
from snncc.conversion.recipe import Recipe
from snncc.data.dataset import Preprocessing
from snncc.data.description import Samples
from snncc.encoding import sha256
from snncc.errors import BundleError

SCHEMA = "snncc/bundle/1"
PACKAGES = ("snncc", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript", "torch")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest; `files` has the sha256 of every other file that is hashed, `timings.json` and `runs/` are not."""

    schema: Annotated[str, msgspec.Meta(pattern=r"^snncc/bundle/1$")] = SCHEMA
    name: str
    method: str
    model_sha256: str
    shapes: dict[str, tuple[int | str, ...]]
    timesteps: Annotated[int, msgspec.Meta(ge=1)]
    seed: int
    recipe: Recipe
    versions: dict[str, str]
    preprocessing: Preprocessing
    calibration: Samples
    samples: Samples
    records: tuple[Record, ...]
    certificate: Certificate | None = None
    files: dict[str, str]


def versions() -> dict[str, str]:
    """The versions of what computes, without local build labels."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package).split("+")[0]
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def decode(data: bytes) -> Manifest:
    """A manifest from its bytes; raises BundleError with the key that is wrong."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"manifest.json is not one of snncc: {error}", cure="convert the model again") from None


def verify_hashes(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Raise BundleError naming the first file whose bytes are not those that were written."""
    for name, data in files.items():
        if manifest.files.get(name) != sha256(data):
            raise BundleError(f"{name} was changed since the bundle was written", cure="convert the model again")


def with_files(manifest: Manifest, files: Mapping[str, str]) -> Manifest:
    """The manifest with the hashes of its bundle's files."""
    return msgspec.structs.replace(manifest, files=dict(sorted(files.items())))
