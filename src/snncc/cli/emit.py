# SPDX-License-Identifier: Apache-2.0
"""The command `emit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli.options import emit_options, given_or_newest

if TYPE_CHECKING:
    from snncc.bundles.targets import EmitOptions

TARGETS = ("torch", "integer", "onnx", "nir")


@click.command("emit")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--to", "target", type=click.Choice(TARGETS), required=True, help="What to emit.")
@emit_options
@click.option("--quiet", "-q", is_flag=True, help="Print results only.")
def emit_command(bundle: Path | None, target: Any, emit_options: EmitOptions, quiet: bool) -> None:
    """Put the files of a target into BUNDLE (default: the newest *.snn here), as `convert --emit` does.

    The files lie under integer/, onnx/ or nir/ of the bundle and are hashed in its manifest; torch is model.py.
    """
    from snncc import api
    from snncc.cli import console

    bundle = given_or_newest(bundle)
    made = api.emit(bundle, to=target, options=emit_options)
    for note in made.notes:
        console.notice(note)
    for name in sorted(made.files):
        if not quiet:
            console.say(f"wrote {bundle / name}")
