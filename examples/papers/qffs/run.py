# SPDX-License-Identifier: Apache-2.0
"""QFFS (Li, Ma, Furber 2022) on MNIST: fine-tune LeNet's activations to b bits, convert, certify, print tables."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))
from mnist_lenet import ann_accuracy, arguments, curve, float_model, mnist, row

from snncc import api
from snncc.api import Converted
from snncc.data import Dataset
from snncc.finetune.run import finetune
from snncc.finetune.settings import Settings
from snncc.ir.network import Network
from snncc.ir.nodes import IF, SignedIF

TIMES = (4, 8, 16)
#: Table 3 of the paper (CIFAR-10): ANN and SNN at T = 4, 2 bits.
PAPER = "ResNet-18 93.12 / 93.14, VGG-16 92.44 / 92.64"


def train(model: Path, folder: Path, data: Dataset, *, bits: int, epochs: int, out_bits: int = 0) -> Path:
    """The quantised ANN as ONNX; an earlier one in the folder is used again."""
    path = folder / f"{model.stem}-qffs-{bits}-{out_bits}-{epochs}.onnx"
    given = {"method": "qffs", "bits": bits, "out_bits": out_bits, "epochs": epochs, "lr": 0.01, "batch_size": 100}
    if not path.exists():
        settings = msgspec.convert(given, Settings)
        finetune(model, settings, train=data, out=path, changed=print, report=lambda e: print(e, flush=True))
    return path


def shown(converted: Converted) -> str:
    """The certificate in one cell."""
    found = converted.manifest.certificate
    if found is None:
        return "none"
    return f"{found.mismatches} of {found.neurons * found.samples:,}, settled at T={found.settled}"


def without_negative_spikes(net: Network) -> Network:
    """The same network of neurons that only fire positive spikes."""
    fields = ("name", "inputs", "shape", "batch", "threshold", "amplitude", "v_init")
    neurons = [n for n in net.nodes if isinstance(n, SignedIF)]
    return net.replaced([IF(**{f: getattr(n, f) for f in fields}) for n in neurons])


def ablation(path: Path, calibration: Dataset, held_out: Dataset) -> list[tuple[str, float]]:
    """Positive spikes only, negative spikes too, time beyond T_in; and average pools in place of event max pools."""
    average = [("rewrite_max_pooling", "to", "average")]
    averaged = api.convert(path, method="qffs", calib=calibration, options=average, write=False).network
    whole = api.convert(path, method="qffs", calib=calibration, write=False)
    duration, settled = whole.network.schedule.steps, whole.manifest.timesteps
    return [
        ("positive spikes only, T = T_in", curve(without_negative_spikes(whole.network), held_out, duration)[-1]),
        ("+ negative spikes", curve(whole.network, held_out, duration)[-1]),
        ("+ time beyond T_in (all of it)", curve(whole.network, held_out, settled)[-1]),
        ("average pools instead of event max pools", curve(averaged, held_out, settled)[-1]),
    ]


def main() -> None:
    """The tables."""
    given = arguments(__doc__ or "")
    data, held_out = mnist(False, given.images), mnist(True, given.test)
    model, full = float_model(given.out, data, held_out, epochs=given.float_epochs, width=given.width)
    calibration = data.head(64)
    trained = {b: train(model, given.out, data, bits=b, epochs=given.epochs) for b in (2, 3, 4)}
    print(f"\nfull precision {full:.2f} % on {len(held_out)} held-out images\n")
    row("bits", "quantised ANN", *[f"T={t}" for t in TIMES], "mismatches")
    row(*["---"] * (3 + len(TIMES)))
    for bits, path in trained.items():
        converted = api.convert(path, method="qffs", calib=calibration, write=False)
        accuracy = curve(converted.network, held_out, max(TIMES))
        row(bits, ann_accuracy(path, held_out), *[accuracy[t - 1] for t in TIMES], shown(converted))
    print(f"\nthe paper has no MNIST row; 2 bits on CIFAR-10, ANN / SNN at T = 4: {PAPER}")
    if not given.ablations:
        return
    print("\nwhat each part gives, 2 bits\n")
    row("network", "accuracy")
    row("---", "---")
    for name, value in ablation(trained[2], calibration, held_out):
        row(name, value)
    path = train(model, given.out, data, bits=2, epochs=given.epochs, out_bits=3)
    converted = api.convert(path, method="qffs", calib=calibration, write=False)
    row("all of it, 3-bit firing output", curve(converted.network, held_out, converted.manifest.timesteps)[-1])


if __name__ == "__main__":
    main()
