# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from snncc.errors import UsageError

MODEL = click.argument("model", type=click.Path(path_type=Path))
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print results only, no progress.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
SHAPE = click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="IN=DIMS",
    help="Fix an input's shape, e.g. ids=N,128; N marks the samples' axis. Repeatable.",
)

#: The lowerings of `backends.nir.lowering`, which is too heavy to import at start-up.
LOWERINGS = ("single-spike", "unsigned", "zero-start", "hard-reset", "strict-threshold")
ALLOW = click.option(
    "--allow",
    multiple=True,
    type=click.Choice(LOWERINGS),
    help="NIR: a lowering that changes what the network does; measured and reported. Repeatable.",
)
UNIT_THRESHOLDS = click.option(
    "--unit-thresholds", is_flag=True, help="NIR: weights absorb the thresholds, for readers with one per layer."
)

INTEGER = click.option("--integer", is_flag=True, help="torch: also the module of the integer network, under integer/.")
WEIGHTS = click.option(
    "--weights",
    type=click.Choice(["int8", "int4", "ternary"]),
    default="int8",
    show_default=True,
    help="Integer network: its weights.",
)
MAX_TIMESTEPS = click.option(
    "--max-timesteps",
    type=click.IntRange(1, 1 << 20),
    default=256,
    show_default=True,
    help="Integer network: the longest T for which its widths are proved.",
)


def emit_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the targets, which the command gets together as `emit_options`."""

    @ALLOW
    @UNIT_THRESHOLDS
    @INTEGER
    @WEIGHTS
    @MAX_TIMESTEPS
    @functools.wraps(command)
    def with_options(
        allow: tuple[str, ...], unit_thresholds: bool, integer: bool, weights: Any, max_timesteps: int, **given: Any
    ) -> None:
        from snncc.bundles.targets import EmitOptions

        options = EmitOptions(
            allow=allow,
            unit_thresholds=unit_thresholds,
            integer=integer,
            weights=weights,
            max_timesteps=max_timesteps,
        )
        command(emit_options=options, **given)

    return with_options


SCALE = click.option("--scale", type=float, default=1.0, help="Preprocessing: x * scale, then (x - mean) / std.")
MEAN = click.option("--mean", help="Preprocessing: one number, or one per channel, comma-separated.")
STD = click.option("--std", help="Preprocessing: one number, or one per channel, comma-separated.")
LAYOUT = click.option(
    "--layout",
    type=click.Choice(["as-is", "nhwc-to-nchw", "nchw-to-nhwc"]),
    default="as-is",
    help="Preprocessing: how the axes of the data are moved to those of the model.",
)


def preprocessing_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the preprocessing, which the command gets together as `preprocessing`."""

    @SCALE
    @MEAN
    @STD
    @LAYOUT
    @functools.wraps(command)
    def with_options(scale: float, mean: str | None, std: str | None, layout: str, **given: Any) -> None:
        from snncc.data.dataset import Preprocessing

        moments = {"mean": parse_numbers(mean, "--mean"), "std": parse_numbers(std, "--std")}
        try:
            chosen = msgspec.convert({"scale": scale, "layout": layout, **moments}, Preprocessing)
        except msgspec.ValidationError as error:
            where = click.get_current_context().info_name
            raise UsageError(f"preprocessing: {error}", cure=f"see `snncc {where} --help`") from None
        command(preprocessing=chosen, **given)

    return with_options


def parse_shapes(given: tuple[str, ...]) -> dict[str, tuple[int | str, ...]]:
    """`IN=1,3,N` as data; raises UsageError."""
    result: dict[str, tuple[int | str, ...]] = {}
    for text in given:
        name, equals, dims = text.rpartition("=")
        parts = [part.strip() for part in dims.replace("x", ",").split(",")]
        if not equals or not name or not all(part == "N" or (part.isdigit() and int(part) > 0) for part in parts):
            raise UsageError(f"--shape {text!r} is not of the form INPUT=DIMS", cure="for example --shape ids=N,128")
        if parts.count("N") > 1:
            raise UsageError(f"--shape {text!r} marks more than one axis as N", cure="the samples lie on one axis")
        result[name] = tuple("N" if part == "N" else int(part) for part in parts)
    return result


def parse_setting(text: str) -> tuple[str, str, Any]:
    """`PASS.OPTION=VALUE`, the value as TOML writes it (or a bare word); raises UsageError."""
    key, equals, value = text.partition("=")
    name, dot, option = key.strip().partition(".")
    if not (equals and dot and name and option):
        raise UsageError(
            f"--set {text!r} is not of the form PASS.OPTION=VALUE",
            cure="for example --set balance_thresholds.percentile=99.9",
        )
    try:
        return name, option, tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return name, option, value.strip()


def parse_numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Comma-separated numbers; raises UsageError."""
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is not a list of numbers", cure=f"for example {option} 0.5,0.5,0.5"
        ) from None


def parse_steps(text: str) -> tuple[int, ...]:
    """`2,4,8` as increasing numbers; raises UsageError."""
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > 1 << 20:
        raise UsageError(f"--timesteps {text!r} is not a list of time steps", cure="for example --timesteps 2,4,8,16")
    return tuple(found)


def given_or_newest(bundle: Path | None) -> Path:
    """The bundle that a command was given, else the newest one here, which is named."""
    from snncc.bundles.bundle import newest_bundle
    from snncc.cli import console

    if bundle is None:
        bundle = newest_bundle(Path())
        console.notice(f"no bundle given: using {bundle.name}")
    return bundle
