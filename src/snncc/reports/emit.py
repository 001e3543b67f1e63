# SPDX-License-Identifier: Apache-2.0
"""`emit`: the files of another target, put into a bundle that exists."""

from __future__ import annotations

from pathlib import Path

import msgspec

from snncc.bundles import manifest as manifests
from snncc.bundles.bundle import Bundle, opened_bundle, read_member
from snncc.bundles.integer_files import FOLDER, network_names
from snncc.bundles.manifest import Manifest
from snncc.bundles.output import write_folder
from snncc.bundles.targets import EmitOptions, Emitted, Source, Target, emit_files
from snncc.encoding import encode, sha256
from snncc.errors import BundleError
from snncc.reports import make
from snncc.reports.document import report_of
from snncc.reports.make import with_notes


def emit(bundle: Path | str | Bundle | None = None, *, to: Target, options: EmitOptions | None = None) -> Emitted:
    """Emit a bundle (the newest *.snn here by default) for a target; the bundle then holds its files, hashed.

    The bundle is exchanged in one step, and what it held before is kept. Raises EmitError for what the target cannot
    say, and BundleError; the bundle is then as it was.
    """
    opened = opened_bundle(bundle)
    truth, manifest = opened.truth(), opened.manifest
    source = Source(
        network=opened.network,
        name=opened.name,
        method=manifest.method,
        timesteps=manifest.timesteps,
        samples=opened.samples(truth),
        truth=truth,
    )
    made = emit_files(to, source, options or EmitOptions())
    told = with_notes(report_of(opened), to, made.notes)
    told = told if made.integer is None else msgspec.structs.replace(told, integer=made.integer)
    written = dict(made.files) if told == report_of(opened) else {**made.files, **make.report_files(told)}
    stale = stale_files(manifest, to, made)
    kept = {name: data for name, data in contents(opened.path).items() if name not in stale}
    manifests.verify_hashes(manifest, {name: data for name, data in kept.items() if name in manifest.files})
    hashes = {name: sha for name, sha in manifest.files.items() if name not in stale}
    hashes |= {name: sha256(data) for name, data in written.items()}
    changed = encode(manifests.with_files(manifest, hashes))
    write_folder(opened.path, {**kept, **written, "manifest.json": changed}, force=True)
    return made


def stale_files(manifest: Manifest, to: Target, made: Emitted) -> set[str]:
    """The files of the last time that this target was emitted, and all that belongs to another integer network."""
    stale = {name for name in manifest.files if name.startswith(f"{to}/") and to != FOLDER}
    network = [name for name in made.files if name.startswith(f"{FOLDER}/") and name in network_names()]
    if any(manifest.files.get(name) != sha256(made.files[name]) for name in network):
        stale |= {name for name in manifest.files if name.startswith(f"{FOLDER}/")}
    return stale


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a bundle by its path in it. Raises BundleError for links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise BundleError(f"{path.name} in {folder.name} is a link", cure="copy the bundle with its files")
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = read_member(folder, name)
    return found
