# SPDX-License-Identifier: Apache-2.0
"""QFFS (Li, Ma, Furber 2022) on MNIST: fine-tune LeNet's activations to b bits, convert, certify, print tables."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))
from tables import Option, ann_accuracy, convert, header, row, shown, simulate
from task import Task, arguments, task

from snncc.data.dataset import Dataset
from snncc.ir.network import Network
from snncc.ir.nodes import IF, SignedIF
from snncc.training.run import finetune
from snncc.training.settings import Settings

TIMES = (2, 4, 8, 16)
BITS = (1, 2, 3, 4)
AVERAGE: tuple[Option, ...] = (("rewrite_max_pooling", "to", "average"),)
LITERAL: tuple[Option, ...] = (("convert_quantized", "negative", "at_zero"),)
#: Table 3 of the paper (CIFAR-10): ANN and SNN at T = 4, 2 bits.
PAPER = "ResNet-18 93.12 / 93.14, VGG-16 92.44 / 92.64"
#: The paper's ablation (ResNet-50, ImageNet, 2 bits), each line with all before it.
PAPER_ABLATION = (
    ("plain", 0.01),
    ("+ negative spikes", 10.64),
    ("+ time extension", 67.29),
    ("+ max pooling", 68.69),
    ("+ 3-bit output", 70.18),
)


def train(start: Task, given: Namespace, *, bits: int, out_bits: int = 0) -> Path:
    """The quantised ANN as ONNX; an earlier one in the folder is used again."""
    path = given.out / f"{start.model.stem}-qffs-{bits}-{out_bits}-{given.epochs}.onnx"
    chosen = {"method": "qffs", "bits": bits, "out_bits": out_bits, "augment": start.augment}
    chosen |= {"epochs": given.epochs, "lr": 0.01, "batch_size": 100}
    if not path.exists():
        finetune(
            start.model,
            msgspec.convert(chosen, Settings),
            train=start.training,
            out=path,
            device=given.device,
            changed=print,
            report=lambda epoch: print(epoch, flush=True),
        )
    return path


def without_negative_spikes(net: Network) -> Network:
    """The same network of neurons that only fire positive spikes."""
    fields = ("name", "inputs", "shape", "batch", "threshold", "amplitude", "v_init")
    neurons = [n for n in net.nodes if isinstance(n, SignedIF)]
    return net.replaced([IF(**{f: getattr(n, f) for f in fields}) for n in neurons])


def ablation(path: Path, calibration: Dataset, held_out: Dataset, device: str) -> list[tuple[str, float]]:
    """The parts one after another as the paper adds them, on a net whose output has 2 bits too; the literal rule."""

    def accuracy(network: Network, timesteps: int) -> float:
        return simulate(network, held_out, timesteps, device)[0][-1]

    found = convert(path, "qffs", calibration)
    whole, averaged = found.network, convert(path, "qffs", calibration, AVERAGE).network
    literal = convert(path, "qffs", calibration, LITERAL).network
    duration = whole.schedule.steps
    settled = (found.certificate and found.certificate.settled) or max(TIMES)
    return [
        (f"plain: positive spikes, average pools, T={duration}", accuracy(without_negative_spikes(averaged), duration)),
        ("+ negative spikes", accuracy(averaged, duration)),
        (f"+ time extension, T={settled}", accuracy(averaged, settled)),
        ("+ event max pooling", accuracy(whole, settled)),
        ("  the same without negative spikes", accuracy(without_negative_spikes(whole), settled)),
        (f"  the same without time extension, T={duration}", accuracy(whole, duration)),
        ("  the same with negative spikes at u <= 0", accuracy(literal, settled)),
    ]


def main() -> None:
    """The tables."""
    given = arguments(__doc__ or "")
    found = task(given)
    held_out, calibration = found.held_out, found.training.head(64)
    trained = {b: train(found, given, bits=b) for b in BITS}
    print(f"\nfull precision {found.ann:.2f} % on {len(held_out)} held-out images\n")
    header("bits", "quantised ANN", *[f"T={t}" for t in TIMES], "mismatches")
    for bits, path in trained.items():
        outcome = convert(path, "qffs", calibration)
        accuracy, _ = simulate(outcome.network, held_out, max(TIMES), given.device)
        row(bits, ann_accuracy(path, held_out), *[accuracy[t - 1] for t in TIMES], shown(outcome.certificate))
    print(f"\nthe paper has no MNIST row; 2 bits on CIFAR-10, ANN / SNN at T = 4: {PAPER}")
    if not given.ablations:
        return
    print("\nwhat each part gives, 2 bits\n")
    header("network", "accuracy")
    outputs = {b: train(found, given, bits=2, out_bits=b) for b in (2, 3)}
    for name, value in ablation(outputs[2], calibration, held_out, given.device):
        row(name, value)
    for name, path in (("+ 3-bit output", outputs[3]), ("+ read-out of the membrane instead", trained[2])):
        outcome = convert(path, "qffs", calibration)
        settled = (outcome.certificate and outcome.certificate.settled) or max(TIMES)
        row(f"{name}, T={settled}", simulate(outcome.network, held_out, settled, given.device)[0][-1])
    for name, value in PAPER_ABLATION:
        row(f"paper (ResNet-50, ImageNet): {name}", value)


if __name__ == "__main__":
    main()
