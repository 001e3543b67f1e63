# SPDX-License-Identifier: Apache-2.0
"""`snncc finetune` on the command line: parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from snncc.cli.options import preprocessing_options
from snncc.errors import UsageError

PATH = click.Path(path_type=Path)
#: What differs between the methods where an option is not given.
DEFAULTS: dict[str, dict[str, Any]] = {
    "qffs": {"lr": 0.01, "optimizer": "sgd", "weight_decay": 5e-4},
    "zou": {"lr": 0.001, "optimizer": "adam", "weight_decay": 0.0},
}


@click.command("finetune")
@click.argument("model", type=PATH)
@click.option("--method", type=click.Choice(sorted(DEFAULTS)), required=True, help="Whose quantised form to train.")
@click.option("--train", type=PATH, required=True, help='.npz with labels "y", or a folder of images by class.')
@click.option("--val", "validation", type=PATH, help="Data to measure the accuracy on after each epoch.")
@click.option("--epochs", type=click.IntRange(1, 100_000), required=True)
@click.option("-o", "--out", type=PATH, help="The ONNX file to write (default: ./NAME-METHOD.onnx).")
@click.option("--bits", type=click.IntRange(1, 8), default=2, show_default=True, help="qffs: of hidden activations.")
@click.option("--out-bits", type=click.IntRange(0, 8), default=0, help="qffs: of the output (default 0: analog).")
@click.option("--level", type=click.IntRange(0, 4), default=0, show_default=True, help="zou: k, levels of 2^-k.")
@click.option("--weights", type=click.Choice(["ternary", "real"]), default="ternary", show_default=True, help="zou.")
@click.option("--pool", type=click.Choice(["event", "stride"]), default="event", show_default=True, help="Max pools.")
@click.option("--lr", type=float, help="Learning rate (default: qffs 0.01, zou 0.001).")
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), help="Default: qffs sgd, zou adam.")
@click.option("--weight-decay", type=float, help="Default: qffs 0.0005, zou 0.")
@click.option("--schedule", type=click.Choice(["cosine", "step", "constant"]), default="cosine", show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 1 << 16), default=128, show_default=True)
@click.option("--augment", type=click.Choice(["flip", "shift"]), multiple=True, help="Repeatable; shift: pad, crop.")
@click.option("--shift", type=click.IntRange(1, 64), default=4, show_default=True, help="Largest shift in pixels.")
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--amp/--no-amp", default=None, help="Half precision where it is safe (default: on cuda).")
@preprocessing_options
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in OUT.checkpoints/.")
@click.option("--quiet", "-q", is_flag=True, help="Print results only, no progress.")
def finetune_command(
    model: Path,
    method: str,
    train: Path,
    validation: Path | None,
    out: Path | None,
    device: str,
    amp: bool | None,
    resume: bool,
    quiet: bool,
    preprocessing: Any,
    **given: Any,
) -> None:
    """Train the quantised form of MODEL (ONNX); `snncc convert --method METHOD` then takes it without loss.

    Every change to the graph is printed. Checkpoints are written after each epoch.
    """
    from snncc.cli import console
    from snncc.execute.executors import refuse_missing_device
    from snncc.training.checkpoint import Epoch
    from snncc.training.run import finetune
    from snncc.training.settings import Settings

    refuse_missing_device(device)
    chosen = {key: value for key, value in given.items() if value is not None}
    half = device.startswith("cuda") if amp is None else amp
    try:
        settings = msgspec.convert({**DEFAULTS[method], **chosen, "method": method, "amp": half}, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"finetune: {error}", cure="see `snncc finetune --help`") from None

    def report(epoch: Epoch) -> None:
        held_out = "" if epoch.validation is None else f", validation {epoch.validation:.2%}"
        text = f"loss {epoch.loss:.4f}, training {epoch.accuracy:.2%}{held_out}, lr {epoch.lr:.2e}"
        console.say(f"epoch {epoch.epoch}/{settings.epochs}: {text}")

    with console.progress(quiet) as tell:
        result = finetune(
            model,
            settings,
            train=train,
            validation=validation,
            out=out or Path(f"{model.stem}-{method}.onnx"),
            device=device,
            resume=resume,
            preprocessing=preprocessing,
            changed=console.say,
            report=report,
            progress=tell,
        )
    console.say(f"wrote {result.path}; convert it with: snncc convert {result.path} --method {method}")
