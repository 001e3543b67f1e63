# SPDX-License-Identifier: Apache-2.0
"""The command line: parse, call `snncc.api`, render. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from snncc import __version__
from snncc.cli.batch import batch_command
from snncc.cli.emit import emit_command
from snncc.cli.finetune import finetune_command
from snncc.cli.options import (
    JSON,
    MODEL,
    QUIET,
    SHAPE,
    emit_options,
    parse_setting,
    parse_shapes,
    preprocessing_options,
)
from snncc.cli.report import compare_command, report_command
from snncc.cli.simulate import simulate_command
from snncc.encoding import encode
from snncc.errors import SnnccError
from snncc.execute.torch.memory import keep_freed_memory


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snncc")
def cli() -> None:
    """Compile trained ANNs (ONNX) into spiking networks."""


@cli.command("check")
@MODEL
@SHAPE
@JSON
def check_command(model: Path, shapes: tuple[str, ...], as_json: bool) -> None:
    """List everything in MODEL that stands in the way of a conversion, at once.

    Exit code 0 if the model converts, 3 if it does not.
    """
    from snncc import api
    from snncc.cli import console

    result = api.check(model, shapes=parse_shapes(shapes))
    if as_json:
        console.plain(encode(result).decode().rstrip())
    else:
        console.show_inspection(result)
    if not result.convertible:
        sys.exit(3)


@cli.command("convert")
@MODEL
@click.option("--method", help="A method from `snncc methods` (default: matched), or auto.")
@click.option("--recipe", "recipe", type=click.Path(path_type=Path), help="A recipe file of your own (TOML).")
@click.option("--timesteps", type=click.IntRange(1, 1 << 20), help="The design T (default: 8; qffs, zou: settled T).")
@click.option("--max-drop", type=click.FloatRange(0, 100), help="--method auto: points lost at most (default: 1).")
@click.option("--max-operations", type=click.FloatRange(0), help="--method auto: synaptic operations at most.")
@click.option("--levels", type=click.IntRange(1, 4), help="Spikes that a neuron may emit in one step (default: 1).")
@click.option("--calib", type=click.Path(path_type=Path), help=".npz, .npy or image folder to calibrate on.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The bundle to write (default: ./NAME.snn).")
@click.option(
    "--emit",
    type=click.Choice(["torch", "integer", "onnx", "nir"]),
    default="torch",
    show_default=True,
    help="What to emit.",
)
@emit_options
@click.option("--granularity", type=click.Choice(["layer", "channel", "neuron"]), help="What shares one threshold.")
@click.option("--set", "settings", multiple=True, metavar="PASS.OPTION=VALUE", help="Set a pass option. Repeatable.")
@SHAPE
@preprocessing_options
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 1 << 16), default=64, show_default=True)
@click.option("--keep-passes", type=click.Path(path_type=Path), help="Write the network after each pass here.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@QUIET
@JSON
def convert_command(
    model: Path,
    method: str | None,
    recipe: Path | None,
    max_drop: float | None,
    max_operations: float | None,
    settings: tuple[str, ...],
    shapes: tuple[str, ...],
    keep_passes: Path | None,
    quiet: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Convert MODEL (ONNX) into a spiking network and write the bundle NAME.snn."""
    from snncc import api
    from snncc.bundles import output
    from snncc.cli import console
    from snncc.conversion.request import Target
    from snncc.ir.text import to_text

    if method is None and recipe is None:
        console.notice(f"no --method given: using {api.DEFAULT_METHOD}")
    target = Target(max_drop=max_drop, operations=max_operations)
    stages: dict[str, bytes] = {}

    def observe(index: int, name: str, network: Any, record: Any) -> None:
        stages[f"{index:02d}-{name}.txt"] = to_text(network).encode()
        stages[f"{index:02d}-{name}.json"] = encode(record)

    try:
        with console.progress(quiet or as_json) as tell:
            result = api.convert(
                model,
                method=method,
                recipe=recipe,
                target=None if target == Target() else target,
                options=[parse_setting(text) for text in settings],
                shapes=parse_shapes(shapes),
                observe=observe if keep_passes else None,
                progress=tell,
                **asked,
            )
    finally:
        if keep_passes and stages:
            output.write_folder(keep_passes, stages, force=True)
    if result.manifest.calibration.synthetic:
        console.warn(
            "calibrated on synthetic inputs, because no --calib was given and no .npz of the model's name lies beside "
            "it: the thresholds do not know your data"
        )
    for note in result.notes:
        console.notice(note)
    if as_json:
        console.plain(result.files["report.json"].decode().rstrip())
    else:
        console.show_converted(result)


@cli.command("methods")
@JSON
def methods_command(as_json: bool) -> None:
    """List the methods (recipes) that ship."""
    from snncc.cli import console
    from snncc.conversion import recipe

    found = [recipe.load_recipe(path) for path in recipe.methods().values()]
    if as_json:
        console.plain(encode(found).decode().rstrip())
    else:
        rows = [[r.name, r.summary, r.source] for r in found]
        console.table("Methods", ("name", "summary", "source"), rows, left=3)


@cli.command("passes")
@JSON
def passes_command(as_json: bool) -> None:
    """List the passes that recipes are made of."""
    from snncc.cli import console
    from snncc.transform.passes import TRANSFORMS

    rows = [[t.name, str(t.fidelity), t.doc.splitlines()[0]] for t in TRANSFORMS]
    if as_json:
        keys = ("name", "fidelity", "summary")
        console.plain(encode([dict(zip(keys, row, strict=True)) for row in rows]).decode().rstrip())
    else:
        console.table("Passes", ("name", "promises", "summary"), rows, left=3)


@cli.command("explain")
@click.argument("name")
def explain_command(name: str) -> None:
    """Explain a pass or a method."""
    from snncc.cli import console
    from snncc.conversion import recipe
    from snncc.errors import RecipeError

    known = recipe.methods()
    if name in recipe.BY_NAME:
        found = recipe.BY_NAME[name]
        console.plain(f"{name} ({found.fidelity})\n\n{found.doc}")
    elif name in known:
        chosen = recipe.load_recipe(known[name])
        console.plain(f"{chosen.name}: {chosen.summary}\nSource: {chosen.source}\n\n{known[name].read_text()}".rstrip())
    else:
        everything = sorted([*recipe.BY_NAME, *known])
        raise RecipeError(f"there is no pass or method {name!r}", cure=recipe.nearest(name, everything, "there are"))


cli.add_command(simulate_command)
cli.add_command(report_command)
cli.add_command(compare_command)
cli.add_command(finetune_command)
cli.add_command(batch_command)
cli.add_command(emit_command)


def main() -> None:
    """The entry point: errors become one message and an exit code; anything else is a bug and says so."""
    keep_freed_memory()
    run(lambda: cli(standalone_mode=False))


def run(command: Callable[[], Any]) -> None:
    """Run a command and map what it raises to an exit code."""
    try:
        result = command()
        sys.exit(result if isinstance(result, int) else 0)
    except SnnccError as error:
        from snncc.cli import console

        console.failure(error)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except MemoryError:
        click.echo("error: out of memory\n  -> give a smaller --batch-size or fewer samples", err=True)
        sys.exit(1)
    except Exception:  # noqa: BLE001  (the last resort: whatever it is, it is our bug)
        click.echo(traceback.format_exc(), err=True)
        click.echo(
            "This is a bug in snncc. Please report it with the lines above and, if you can, the model.", err=True
        )
        sys.exit(70)
