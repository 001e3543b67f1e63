# SPDX-License-Identifier: Apache-2.0
"""The command `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snncc.cli.options import JSON, QUIET, given_or_newest
from snncc.encoding import encode


@click.command("simulate")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--timesteps", type=click.IntRange(1, 1 << 20), help="T (default: the design T).")
@click.option("--data", type=click.Path(path_type=Path), help="Other data than the bundle's samples.")
@click.option(
    "--engine",
    type=click.Choice(["torch", "reference", "onnx", "integer", "native", "native-integer"]),
    default="torch",
    show_default=True,
    help="What computes; integer: the integer network, beside the one in floats; native: event-driven C.",
)
@click.option("--profile", is_flag=True, help="With --engine native: what each layer costs.")
@click.option(
    "--early-exit",
    type=float,
    metavar="MARGIN",
    help="End a sample once its first class leads by MARGIN of the softmax (0 to 1, for example 0.95).",
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@QUIET
@JSON
def simulate_command(
    bundle: Path | None,
    timesteps: int | None,
    data: Path | None,
    engine: Any,
    profile: bool,
    early_exit: float | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Simulate BUNDLE (default: the newest *.snn here) on data, beside its ANN."""
    from snncc import api
    from snncc.bundles.bundle import open_bundle
    from snncc.cli import console

    opened = open_bundle(given_or_newest(bundle))
    design = opened.manifest.timesteps
    if timesteps is not None and timesteps != design:
        console.notice(f"T={timesteps} asked for; the bundle was converted for T={design}")
    with console.progress(quiet or as_json) as tell, console.noticed():
        result = api.simulate(
            opened,
            timesteps=timesteps,
            data=data,
            engine=engine,
            device=device,
            keep=True,
            profile=profile,
            early_exit=early_exit,
            progress=tell,
        )
    if as_json:
        console.plain(encode(result).decode().rstrip())
    else:
        console.show_simulation(result, opened.network.outputs)
