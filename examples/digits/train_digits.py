# SPDX-License-Identifier: Apache-2.0
"""Train the digits example and write digits.onnx and digits.npz beside this file.

Data: the 1,797 hand-written 8 x 8 digits that come with scikit-learn, grey levels 0..16 divided by 16.
Run:  python train_digits.py        (CPU, under a minute; a second run writes the same bytes)
"""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

SEED = 0
EPOCHS = 40
BATCH = 64
TEST_SAMPLES = 450
CALIBRATION_SAMPLES = 512
HERE = Path(__file__).resolve().parent


class Digits(nn.Module):
    """Three convolutions with BatchNorm and ReLU, two max poolings, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.conv3, self.bn3 = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.fc2 = nn.Linear(32 * 2 * 2, 64), nn.Linear(64, 10)
        self.relu = nn.ReLU()

    def forward(self, image: Tensor) -> Tensor:  # (N, 1, 8, 8) -> (N, 10)
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.pool(self.relu(self.bn2(self.conv2(x))))  # (N, 32, 4, 4)
        x = self.pool(self.relu(self.bn3(self.conv3(x))))  # (N, 32, 2, 2)
        return self.fc2(self.relu(self.fc1(x.flatten(1))))


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by at most one pixel in each direction, filling with background."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    dy, dx = torch.randint(0, 3, (2, len(images)), generator=generator)
    rows = (dy[:, None] + torch.arange(8))[:, :, None]
    columns = (dx[:, None] + torch.arange(8))[:, None, :]
    return padded[torch.arange(len(images))[:, None, None], 0, rows, columns].unsqueeze(1)


def train(images: Tensor, labels: Tensor) -> Digits:
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = Digits()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        for batch in order[: len(images) // BATCH * BATCH].split(BATCH):
            loss = nn.functional.cross_entropy(model(shifted(images[batch], generator)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def export(model: Digits, path: Path) -> None:
    """Write opset 17 with the BatchNormalization nodes kept, so that the compiler has them to fold."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated, but only it can keep BatchNormalization: PRESERVE fuses nothing,
        # and the model itself is in eval mode.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 8, 8),),
            buffer,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )
    exported = onnx.load_model_from_string(buffer.getvalue())
    exported.doc_string = exported.graph.doc_string = ""
    del exported.metadata_props[:], exported.graph.metadata_props[:]
    for node in exported.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(exported, full_check=True)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def write_npz(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Like np.savez_compressed, with the same bytes on every run: the dates in the archive are fixed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data.getvalue(), zipfile.ZIP_DEFLATED
            )


def main() -> None:
    torch.set_num_threads(1)  # sums in one order, so that the weights are the same on every run
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]  # (1797, 1, 8, 8), 0..1
    labels = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST_SAMPLES, stratify=labels, random_state=SEED
    )
    model = train(torch.from_numpy(train_x), torch.from_numpy(train_y))
    with torch.no_grad():
        correct = int((model(torch.from_numpy(test_x)).argmax(1).numpy() == test_y).sum())
    print(f"test accuracy {correct / len(test_y):.2%} ({correct} of {len(test_y)})")
    export(model, HERE / "digits.onnx")
    write_npz(HERE / "digits.npz", {"calib_x": train_x[:CALIBRATION_SAMPLES], "x": test_x, "y": test_y})


if __name__ == "__main__":
    main()
