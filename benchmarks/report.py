# SPDX-License-Identifier: Apache-2.0
"""The report of a ResNet-56: the size of its page, and the seconds to render it beside those of its simulation.

    python benchmarks/report.py --data ../shared/data --out FOLDER [--shortcut A|B] [--samples 64] [--timesteps 8]

The network has the topology of He et al. 2016 (doi:10.1109/CVPR.2016.90, section 4.2): 3 x 9 blocks, shortcuts that
stride and pad with zero channels (A) or 1 x 1 convolutions (B). Its weights are random, the statistics of its batch
normalizations those of CIFAR-10 images: pages and seconds depend on neither, and its accuracy says nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from snncc import api
from snncc.bundles.bundle import open_bundle
from snncc.data.dataset import Dataset
from snncc.frontend.files.from_torch import export
from snncc.reports.document import report_of
from snncc.reports.make import report_files

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, shortcut: str) -> None:
        super().__init__()
        self.stride, self.more = outputs // inputs, outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs, momentum=None)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, momentum=None)
        nn.init.constant_(self.bn2.weight, 0.5)  # as in trained networks, a block adds less than it gets
        self.project = None
        if self.more and shortcut == "B":
            convolution = nn.Conv2d(inputs, outputs, 1, self.stride, bias=False)
            self.project = nn.Sequential(convolution, nn.BatchNorm2d(outputs, momentum=None))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.project is not None:
            x = self.project(x)
        elif self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(y + x)


def resnet(blocks: int, shortcut: str, width: int = 16) -> nn.Module:
    """A CIFAR ResNet of 6 `blocks` + 2 layers with He's initialization."""
    torch.manual_seed(0)
    widths = [width] * blocks + [2 * width] * blocks + [4 * width] * blocks
    stages = [Block(a, b, shortcut) for a, b in zip([width, *widths], widths, strict=False)]
    head = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width, momentum=None), nn.ReLU()]
    net = nn.Sequential(*head, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return net


def images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first thousand training images of CIFAR-10, normalised, and their labels."""
    sheet = np.asarray(Image.open(folder / "cifar10_train_b1to4" / "00.webp").convert("RGB"))
    x = sheet.reshape(20, 32, 50, 32, 3).transpose(0, 2, 4, 1, 3).reshape(1000, 3, 32, 32).astype(np.float32) / 255
    shape = (3, 1, 1)
    normal = (x - np.reshape(MEAN, shape)) / np.reshape(STD, shape)
    return normal.astype(np.float32), np.load(folder / "cifar10_train_b1to4" / "labels.npy")[:1000]


def main() -> None:
    """Convert, simulate, render, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shortcut", choices=["A", "B"], default="A")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--timesteps", type=int, default=8)
    options = parser.parse_args()
    x, labels = images(options.data)
    net = resnet(9, options.shortcut)
    with torch.no_grad():
        for batch in torch.from_numpy(x[:512]).split(128):
            net(batch)
    count = options.samples
    options.out.mkdir(parents=True, exist_ok=True)
    model = export(net.eval(), torch.from_numpy(x[:2]))
    source = options.out / f"resnet56{options.shortcut.lower()}.onnx"
    onnx.save(model, source)
    path = source.with_suffix(".snn")
    name = model.graph.input[0].name
    given = Dataset(inputs={name: x[:count]}, labels=labels[:count], source="CIFAR-10", continuous=frozenset({name}))
    api.convert(source, method="matched", timesteps=options.timesteps, calib=given, out=path, force=True)
    opened = open_bundle(path)
    began = time.process_time()
    api.simulate(opened, timesteps=options.timesteps)
    simulated = time.process_time() - began
    report = report_of(opened)
    report_files(report)  # imports and templates
    began = time.process_time()
    files = report_files(report)
    rendered = time.process_time() - began
    neurons = sum(layer.thresholds is not None for layer in report.layers)
    print(f"ResNet-56 with shortcuts {options.shortcut}, {neurons} layers of neurons, {len(report.graph)} nodes")
    print(f"report.html {len(files['report.html']):,} bytes, report.json {len(files['report.json']):,}")
    print(
        f"processor time of the simulation of {count} samples at T={options.timesteps}: {simulated:.2f} s, of "
        f"rendering: {rendered:.3f} s"
    )
    print(f"rendering / simulation: {100 * rendered / simulated:.2f} %")


if __name__ == "__main__":
    main()
