# SPDX-License-Identifier: Apache-2.0
"""SpikingJelly's recipes beside snncc's methods: the same weights, calibration images and test images.

    pip install -e ".[peers]"
    python benchmarks/accuracy/peers.py --data ../shared/data [--timesteps 2,4,8,16,32] [--draws 1] [--test 500]

SpikingJelly gets CIFAR-10 ResNet-20 as a torch module with the ONNX file's weights (option-A shortcuts), each of its
training-free recipes for convolutional networks, and is run step by step with the image as a constant input. snncc's
methods are converted for each T. Prints one Markdown row per recipe.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import RESNET20, Model, cifar, drawn, final_images, spiking_choices
from torch import Tensor, nn

from snncc.conversion import recipe
from snncc.conversion.recipe import depends_on_timesteps
from snncc.data.dataset import Dataset
from snncc.ir.nodes import Conv, Linear


class Block(nn.Module):
    """Two convolutions and a shortcut that subsamples and pads channels where the shape changes."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first, self.second, self.relu1, self.relu2 = first, second, nn.ReLU(), nn.ReLU()
        self.stride, self.more = first.stride[0], (first.out_channels - first.in_channels) // 2
        self.shortcut = nn.Identity() if not self.more else self.subsampling(first.in_channels, first.out_channels)

    def subsampling(self, inputs: int, outputs: int) -> nn.Conv2d:
        """The option-A shortcut as a convolution, which SpikingJelly's graph tracer follows."""
        conv = nn.Conv2d(inputs, outputs, 1, stride=self.stride, bias=False)
        weight = torch.zeros(outputs, inputs, 1, 1)
        weight[torch.arange(inputs) + self.more, torch.arange(inputs)] = 1
        conv.weight.data = weight
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return self.relu2(self.second(self.relu1(self.first(x))) + self.shortcut(x))


def as_torch(model: Model) -> nn.Module:
    """ResNet-20 with the weights of a network."""
    arrays, convolutions = model.network.arrays, []
    for node in model.network.nodes:
        if isinstance(node, Conv):
            weight, bias = torch.tensor(arrays[node.weight]), torch.tensor(arrays[str(node.bias)])
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride=node.stride[0], padding=1)
            conv.weight.data, conv.bias.data = weight, bias
            convolutions.append(conv)
        if isinstance(node, Linear):
            linear = nn.Linear(64, 10)
            linear.weight.data, linear.bias.data = (
                torch.tensor(arrays[node.weight]),
                torch.tensor(arrays[str(node.bias)]),
            )
    blocks = [Block(*pair) for pair in zip(convolutions[1::2], convolutions[2::2], strict=True)]
    return nn.Sequential(convolutions[0], nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()


def tensors(data: Dataset, size: int) -> Iterator[Tensor]:
    """Preprocessed images, batch by batch."""
    for feeds in data.batches(size):
        yield torch.from_numpy(next(iter(feeds.values())))


def spikingjelly_recipes(loader: list[Tensor]) -> dict[str, Any]:
    """Its training-free recipes for convolutional networks, and the options that its documentation names."""
    from spikingjelly.activation_based import ann2snn

    return {
        "RateCoding Max": ann2snn.RateCodingRecipe(dataloader=loader, mode="Max"),
        "RateCoding 99.9%": ann2snn.RateCodingRecipe(dataloader=loader, mode="99.9%"),
        "RateCoding 99.9%, channel-wise, half threshold": ann2snn.RateCodingRecipe(
            dataloader=loader, mode="99.9%", channel_wise=True, half_threshold=True
        ),
        "LocalThresholdBalancing": ann2snn.LocalThresholdBalancingRecipe(dataloader=loader),
    }


@torch.no_grad()
def spikingjelly_row(snn: nn.Module, test: Dataset, timesteps: Sequence[int]) -> list[float]:
    """Accuracy at each T, step by step."""
    from spikingjelly.activation_based import functional

    right, done = np.zeros(len(timesteps)), 0
    for images in tensors(test, 100):
        functional.reset_net(snn)
        total, labels = torch.zeros(len(images), 10), np.asarray(test.labels)[done : done + len(images)]
        for t in range(1, max(timesteps) + 1):
            total += snn(images)
            if t in timesteps:
                right[list(timesteps).index(t)] += int((total.argmax(1).numpy() == labels).sum())
        done += len(images)
    return (100 * right / done).tolist()


def snncc_row(
    model: Model, method: str, calibration: Dataset, test: Dataset, timesteps: tuple[int, ...]
) -> list[float]:
    """Accuracy at each T; converted anew for each where the method depends on T."""
    chosen = recipe.load_method(method)
    row: list[float] = []
    for group in [(t,) for t in timesteps] if depends_on_timesteps(recipe.steps(chosen)) else [timesteps]:
        network = model.converted(chosen, calibration, max(group))
        row += (100 * (spiking_choices(network, test, group) == test.labels).mean(1)).tolist()
    return row


def main() -> None:
    """Parse, convert, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--timesteps", default="2,4,8,16,32")
    parser.add_argument("--methods", default="dnisnm,matched")
    parser.add_argument("--calibration", type=int, default=1024)
    parser.add_argument("--draws", type=int, default=1, help="draws of the calibration images, averaged")
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = tuple(sorted(int(t) for t in options.timesteps.split(",")))
    model = cifar(options.data, RESNET20, options.threads)
    test = model.dataset(*final_images(options.data, options.test))
    network = as_torch(model)
    found = np.concatenate([network(x).detach().argmax(1).numpy() for x in tensors(test, 100)])
    ann = 100 * float(np.mean(model.choices(test) == test.labels))
    print(
        f"ANN {ann:.1f} %, as a torch module {100 * float(np.mean(found == test.labels)):.1f} %, {len(test)} images\n"
    )
    print("| recipe | " + " | ".join(f"T={t}" for t in steps) + " | seconds |")
    print("|---|" + "---|" * (len(steps) + 1), flush=True)
    rows: dict[str, list[list[float]]] = {}
    seconds: dict[str, float] = {}
    for seed in range(options.draws):
        calibration = model.dataset(drawn(options.data, options.calibration, seed))
        loader = list(tensors(calibration, 128))
        from spikingjelly.activation_based import ann2snn

        for name, made in spikingjelly_recipes(loader).items():
            began = time.perf_counter()
            snn = ann2snn.Converter(recipe=made, device="cpu").convert(as_torch(model))
            rows.setdefault(f"SpikingJelly {name}", []).append(spikingjelly_row(snn, test, steps))
            seconds[f"SpikingJelly {name}"] = time.perf_counter() - began
        for method in options.methods.split(","):
            began = time.perf_counter()
            rows.setdefault(f"snncc {method}", []).append(snncc_row(model, method, calibration, test, steps))
            seconds[f"snncc {method}"] = time.perf_counter() - began
    for name, draws in rows.items():
        cells = " | ".join(f"{x:.1f}" for x in np.mean(draws, 0))
        print(f"| {name} | {cells} | {seconds[name]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
