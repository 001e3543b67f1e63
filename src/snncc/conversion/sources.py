# SPDX-License-Identifier: Apache-2.0
"""What a conversion is named after, and which data it takes."""

from __future__ import annotations

from pathlib import Path

import onnx

from snncc.ann.truth import Truth
from snncc.data.dataset import Dataset, Preprocessing, read, synthetic

SYNTHETIC_SAMPLES = 64
KEPT_SAMPLES = 500


def model_name(source: Path | onnx.ModelProto) -> str:
    """The name that a bundle takes from its model."""
    name = source.stem if isinstance(source, Path) else source.graph.name or "model"
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".")[:100] or "model"


def sources(
    calib: Path | str | Dataset | None, beside: Path | None, truth: Truth, preprocessing: Preprocessing, seed: int
) -> tuple[Dataset, Dataset]:
    """The calibration data, and the samples that the bundle keeps: the labelled test split if there is one."""
    if isinstance(calib, Dataset):
        return calib, calib.head(KEPT_SAMPLES)
    path = Path(calib) if calib else beside if beside is not None and beside.is_file() else None
    if path is None:
        made = synthetic(truth.inputs, SYNTHETIC_SAMPLES, seed)
        return made, made
    calibration = read(path, truth.inputs, preprocessing=preprocessing, split="calibration")
    test = read(path, truth.inputs, preprocessing=preprocessing, split="test")
    return calibration, (test if test.labels is not None else calibration).head(KEPT_SAMPLES)
