# SPDX-License-Identifier: Apache-2.0
"""What the examples `vit` and `lstm` share: scikit-learn's digits, training and the files that are written."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

SEED = 0
TEST_SAMPLES = 450
CALIBRATION_SAMPLES = 256
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split() -> Split:
    """Training images, test images (N, 1, 8, 8) in 0..1, and their labels."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    return tuple(train_test_split(images, labels, test_size=TEST_SAMPLES, stratify=labels, random_state=SEED))


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by at most one pixel in each direction, filling with background."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    dy, dx = torch.randint(0, 3, (2, len(images)), generator=generator)
    rows = (dy[:, None] + torch.arange(8))[:, :, None]
    columns = (dx[:, None] + torch.arange(8))[:, None, :]
    return padded[torch.arange(len(images))[:, None, None], 0, rows, columns].unsqueeze(1)


def train(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, rate: float, batch: int = 64) -> None:
    """AdamW with one cycle, cross entropy, images moved by up to a pixel."""
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    per_epoch = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=epochs * per_epoch)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for chosen in order[: per_epoch * batch].split(batch):
            loss = nn.functional.cross_entropy(model(shifted(images[chosen], generator)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def write(model: nn.Module, folder: Path, name: str, data: Split) -> None:
    """NAME.onnx (opset 17) and NAME.npz with fixed dates, so that a second run writes the same bytes."""
    train_x, test_x, _, test_y = data
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 8, 8),),
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )
    exported = onnx.load_model_from_string(buffer.getvalue())
    for node in exported.graph.node:
        node.doc_string = ""
    (folder / f"{name}.onnx").write_bytes(exported.SerializeToString(deterministic=True))
    with zipfile.ZipFile(folder / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in {"calib_x": train_x[:CALIBRATION_SAMPLES], "x": test_x, "y": test_y}.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0)), stream.getvalue(), 8)


def run(model: nn.Module, folder: Path, name: str, *, epochs: int, rate: float) -> None:
    """Train, print the test accuracy, write the files. The caller has seeded torch before it made the model."""
    torch.use_deterministic_algorithms(True)
    data = split()
    train(model, torch.from_numpy(data[0]), torch.from_numpy(data[2]), epochs=epochs, rate=rate)
    with torch.no_grad():
        correct = int((model(torch.from_numpy(data[1])).argmax(1).numpy() == data[3]).sum())
    print(f"test accuracy {correct / TEST_SAMPLES:.2%} ({correct} of {TEST_SAMPLES})")
    write(model, folder, name, data)
