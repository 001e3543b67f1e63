# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 at full size: the papers' networks, their training, and the images, for `run.py --model`.

    python examples/papers/cifar.py --net vgg16 --device cuda --out runs      # vgg11, vgg16 or resnet18

trains on the first 40,000 training images and writes runs/vgg16.onnx.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from mnist_lenet import data_folder
from PIL import Image
from torch import Tensor, nn

from snncc.data.dataset import Dataset, Preprocessing
from snncc.frontend.files.from_torch import export

PREPROCESSING = Preprocessing(
    scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="nhwc-to-nchw"
)
SHEET = 1000
#: Zou's VGG-11 reads 24 x 24 crops: 96-256-P-384-P-384-256-P-1024(3x3 valid)-1024(1x1). VGG-16 has 13 convolutions.
LAYERS: dict[str, tuple[int | str, ...]] = {
    "vgg11": (96, 256, "P", 384, "P", 384, 256, "P", "1024v", "1024p"),
    "vgg16": (64, 64, "P", 128, 128, "P", 256, 256, 256, "P", 512, 512, 512, "P", 512, 512, 512, "P"),
}
SIZES = {"vgg11": 24, "vgg16": 32, "resnet18": 32}


def images(held_out: bool, limit: int | None, name: str = "input", size: int = 32) -> Dataset:
    """The first 40,000 training or 500 test images (nothing is tuned on those), the middle `size` pixels of each."""
    root = data_folder()
    if held_out:
        with np.load(root / "cifar10_test500.npz", allow_pickle=False) as file:
            x, y = file["x"][:limit], file["y"][:limit]
    else:
        sheets = sorted((root / "cifar10_train_b1to4").glob("*.webp"))[: -(-(limit or 40_000) // SHEET)]
        pictures = [np.asarray(Image.open(sheet).convert("RGB")) for sheet in sheets]
        tiles = [p.reshape(20, 32, 50, 32, 3).transpose(0, 2, 1, 3, 4).reshape(SHEET, 32, 32, 3) for p in pictures]
        x = np.concatenate(tiles)[:limit]
        y = np.load(root / "cifar10_train_b1to4" / "labels.npy")[: len(x)]
    border = (32 - size) // 2
    return Dataset(
        inputs={name: x[:, border : border + size, border : border + size]},
        labels=y.astype(np.int64),
        source="CIFAR-10, first 500 test images" if held_out else "CIFAR-10, first 40,000 training images",
        preprocessing=PREPROCESSING,
        continuous=frozenset({name}),
    )


def images_for(model: Path, held_out: bool, limit: int | None) -> Dataset:
    """The images as a model takes them."""
    given = onnx.load(model, load_external_data=False).graph.input[0]
    return images(held_out, limit, given.name, given.type.tensor_type.shape.dim[-1].dim_value)


def block(a: int, b: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """Convolution and BatchNorm."""
    return nn.Sequential(nn.Conv2d(a, b, kernel, stride, padding, bias=False), nn.BatchNorm2d(b))


def vgg(name: str, width: float) -> nn.Sequential:
    """The VGG of a name, without hidden linear layers."""
    layers: list[nn.Module] = []
    before = 3
    for entry in LAYERS[name]:
        if entry == "P":
            layers.append(nn.MaxPool2d(2))
            continue
        after = max(4, round(int(str(entry).rstrip("vp")) * width))
        kernel, padding = (3, 0) if str(entry)[-1] == "v" else (1, 0) if str(entry)[-1] == "p" else (3, 1)
        layers += [block(before, after, kernel, 1, padding), nn.ReLU()]
        before = after
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before, 10))


class Residual(nn.Module):
    """Two convolutions and a shortcut, which is a 1 x 1 convolution where the extent changes."""

    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = block(a, b, 3, stride), block(b, b)
        self.shortcut = nn.Identity() if a == b else block(a, b, 1, stride, 0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.relu(self.first(x))) + self.shortcut(x)
        return F.relu(y)


def resnet18(width: float) -> nn.Sequential:
    """ResNet-18 for 32 x 32 images."""
    sizes = [max(4, round(n * width)) for n in (64, 64, 128, 256, 512)]
    blocks: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        blocks += [Residual(a, b, 1 if i == 0 else 2), Residual(b, b, 1)]
    pool = nn.AvgPool2d(4)
    return nn.Sequential(block(3, sizes[0]), nn.ReLU(), *blocks, pool, nn.Flatten(), nn.Linear(sizes[-1], 10))


def augmented(x: Tensor, size: int) -> Tensor:
    """Mirrored at random, then moved by up to 4 pixels (zeros come in)."""
    x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)
    top, left = torch.randint(0, 9, (2,)).tolist()
    return F.pad(x, (4, 4, 4, 4))[:, :, top : top + size, left : left + size]


def main() -> None:
    """Train, write the ONNX file, print the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(SIZES), required=True)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, default=None, help="training images (default: 40,000)")
    parser.add_argument("--width", type=float, default=1.0, help="scales the channels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    size = SIZES[given.net]
    net = resnet18(given.width) if given.net == "resnet18" else vgg(given.net, given.width)
    net, data = net.to(given.device), images(False, given.images, size=size)
    raw, labels = data.inputs["input"], torch.from_numpy(np.asarray(data.labels))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = len(raw) // 100
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, given.epochs * steps)
    for epoch in range(given.epochs):
        total = 0.0
        for batch in torch.randperm(len(raw))[: steps * 100].split(100):
            x = torch.from_numpy(PREPROCESSING.apply("input", raw[batch.numpy()])).to(given.device)
            loss = F.cross_entropy(net(augmented(x, size)), labels[batch].to(given.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}/{given.epochs}: loss {total / steps:.4f}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"{given.net}.onnx"
    onnx.save(export(net.cpu().eval(), torch.zeros(1, 3, size, size)), path)
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
