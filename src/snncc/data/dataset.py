# SPDX-License-Identifier: Apache-2.0
"""Calibration and evaluation data: .npz, .npy, folders of images, and synthetic inputs.

Files are untrusted: nothing is unpickled, and sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from snncc.data.arrays import Split, array_of, read_npz
from snncc.data.images import read_folder
from snncc.data.inputs import InputSpec, shown
from snncc.errors import DataError
from snncc.names import safe_name

_MADE_UP = 80 << 20  # bytes of an input; 64 images of 320 x 320 need 75 MiB
_LARGEST = 1 << 30  # bytes of one sample
PREPROCESSING = "x becomes (x * scale - mean) / std, with one number each or one per channel"
#: What the readers of zip and .npy raise for damaged files; NumPy's header goes through Python's own tokenizer.
DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError, OverflowError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """x' = (x·scale − mean) / std per channel, then the axes are moved from the data's layout to the model's.

    mean and std have one entry, or one per channel of the data; empty means 0 and 1. The channels lie on the last
    axis for "nhwc-to-nchw", on axis 1 for "nchw-to-nhwc", and for "as-is" on whichever of the two has that extent.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["as-is", "nhwc-to-nchw", "nchw-to-nhwc"] = "as-is"

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))):
            raise DataError("preprocessing: scale, mean and std must be finite", cure=PREPROCESSING)
        if any(std <= 0 for std in self.std):
            raise DataError(f"preprocessing: std must be positive, given {list(self.std)}", cure=PREPROCESSING)
        if self.mean and self.std and 1 not in (len(self.mean), len(self.std)) and len(self.mean) != len(self.std):
            counts = f"{len(self.mean)} means but {len(self.std)} standard deviations"
            raise DataError(f"preprocessing: {counts}", cure=PREPROCESSING)

    def apply(self, name: str, array: np.ndarray) -> np.ndarray:
        """`array`, samples on axis 0, as float32. Raises DataError when the channels cannot be told."""
        self.shape(name, array.shape)
        channels = max(len(self.mean), len(self.std))
        axis = self._channel_axis(name, array.shape, channels) if channels > 1 else 0
        extents = [-1 if i == axis else 1 for i in range(array.ndim)]
        result = array * np.float64(self.scale)
        if self.mean:
            result = result - np.reshape(self.mean, extents)
        if self.std:
            result = result / np.reshape(self.std, extents)
        with np.errstate(over="ignore"):
            result = result.astype(np.float32)
        if not np.isfinite(result).all() and np.isfinite(array).all():
            raise DataError(f"input {name!r}: preprocessing exceeds the range of float32", cure=PREPROCESSING)
        return np.ascontiguousarray(self._moved(result))

    def shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that `apply` gives to an array of `shape`. Raises DataError for a layout that does not fit."""
        if self.layout != "as-is" and len(shape) != 4:
            raise DataError(f"input {name!r}: layout {self.layout} needs 4 axes, given {shown(shape)}")
        return self._moved(np.broadcast_to(np.zeros(()), shape)).shape

    def _moved(self, array: np.ndarray) -> np.ndarray:
        match self.layout:
            case "nhwc-to-nchw":
                return array.transpose(0, 3, 1, 2)
            case "nchw-to-nhwc":
                return array.transpose(0, 2, 3, 1)
        return array

    def _channel_axis(self, name: str, shape: tuple[int, ...], channels: int) -> int:
        last = len(shape) - 1
        axes = {"as-is": {1, last}, "nhwc-to-nchw": {last}, "nchw-to-nhwc": {1}}[self.layout]
        found = [axis for axis in sorted(axes) if 0 < axis <= last and shape[axis] == channels]
        if not found:
            raise DataError(
                f"input {name!r}: mean or std has {channels} entries, which no channel axis of {shown(shape)} has",
                cure=PREPROCESSING,
            )
        if len(found) > 1:
            raise DataError(
                f"input {name!r}: the {channels} channels may lie on axis 1 or {last} of {shown(shape)}",
                cure="normalise the data beforehand, or give one mean and one std",
            )
        return found[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Samples as they were read, with what is to be done to them.

    inputs: raw arrays by input name, samples on axis 0 (rank 0: shared by all). labels: class indices [N], or None.
    source: a description without directories. continuous: the inputs that preprocessing applies to; the others
    (indices, masks) are passed on as they are.
    """

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    source: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    continuous: frozenset[str]

    def __len__(self) -> int:
        return next((len(array) for array in self.inputs.values() if array.ndim), 1)

    def subset(self, indices: Sequence[int] | np.ndarray | slice) -> Dataset:
        """The samples at `indices`, in that order."""
        at = indices if isinstance(indices, slice) else np.asarray(indices, np.int64)
        inputs = {name: array[at] if array.ndim else array for name, array in self.inputs.items()}
        return replace(self, inputs=inputs, labels=None if self.labels is None else self.labels[at])

    def head(self, count: int) -> Dataset:
        """The first `count` samples, or all where there are fewer."""
        return self.subset(slice(0, max(0, count)))

    def batches(self, size: int) -> Iterator[dict[str, np.ndarray]]:
        """Preprocessed feeds of `size` samples, the last one of fewer. Raises DataError for size < 1."""
        if size < 1:
            raise DataError(f"a batch needs at least one sample, given {size}")
        for start in range(0, len(self), size):
            part = self.subset(slice(start, start + size)).inputs
            yield {
                name: self.preprocessing.apply(name, array) if name in self.continuous and array.ndim else array
                for name, array in part.items()
            }


def read(
    path: str | Path, specs: Sequence[InputSpec], *, preprocessing: Preprocessing | None = None, split: Split
) -> Dataset:
    """Read the data in `path` for the inputs `specs`.

    .npz:   arrays named after the inputs, or "x" for a lone input; labels in "y". For "calibration", arrays
            "calib_<input>" or "calib_x" (labels "calib_y") are preferred, and other labels are left out.
    .npy:   the samples of a lone input.
    folder: images, in one subfolder per class (labels: its index in sorted order) or all in one (no labels),
            as RGB or grey values 0 ... 255, as the model has 3 channels or 1. They are not resized.

    Raises DataError naming the array or image, what was expected and what is given.
    """
    path = Path(path)
    preprocessing = preprocessing or Preprocessing()
    try:
        if path.is_dir():
            inputs, labels = read_folder(path, _lone(specs, path.name), preprocessing.layout)
        elif path.suffix == ".npz":
            inputs, labels = read_npz(path, specs, split)
        elif path.suffix == ".npy":
            with path.open("rb") as stream:
                inputs = {_lone(specs, path.name).name: array_of(stream, path.stat().st_size, path.name)}
            labels = None
        elif not path.exists():
            raise DataError(f"{path.name!r} does not exist")
        else:
            raise DataError(f"{path.name!r} is neither .npz, .npy nor a folder of images")
    except DAMAGED as error:
        reason = (
            error.strerror
            if isinstance(error, OSError) and error.strerror
            else safe_name(str(error).replace(str(path), path.name))
        )
        raise DataError(f"{path.name!r} cannot be read: {reason}") from error
    return _dataset(inputs, labels, specs, path.name, preprocessing)


def synthetic(specs: Sequence[InputSpec], count: int, seed: int) -> Dataset:
    """At most `count` samples (fewer large ones): normal floats; zeros for bool, and for integers, which often index.

    Sample i of an input depends on the seed, the input's position and i alone. Raises DataError for a free extent.
    """
    for spec in specs:
        if None in spec.shape[1:]:
            raise DataError(f"input {spec.name!r} {shown(spec.shape)} has a free extent", cure="give the shape")
        sample = math.prod(extent or 0 for extent in spec.shape[1:]) * spec.dtype.itemsize
        if sample > _LARGEST:
            reason = f"input {spec.name!r} {shown(spec.shape)} is too large to make up a sample of"
            raise DataError(reason, cure="give real ones")
        if spec.shape and sample:
            count = max(1, min(count, _MADE_UP // sample))
    inputs = {}
    for index, spec in enumerate(specs):
        shape = (count, *(extent or 0 for extent in spec.shape[1:])) if spec.shape else ()
        if spec.dtype.kind in "fV":
            key = np.array([seed & (2**64 - 1), index], np.uint64)
            random = np.random.Generator(np.random.Philox(key=key))
            inputs[spec.name] = np.asarray(random.standard_normal(shape, np.float32))
        else:
            inputs[spec.name] = np.zeros(shape, spec.dtype)
    return _dataset(inputs, None, specs, "synthetic inputs", Preprocessing())


def _dataset(
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    specs: Sequence[InputSpec],
    source: str,
    preprocessing: Preprocessing,
) -> Dataset:
    """A data set that fits `specs`. Raises DataError where it does not."""
    result: dict[str, np.ndarray] = {}
    for spec in specs:
        array = inputs[spec.name]
        continuous = spec.dtype.kind in "fV" and array.ndim > 0
        spec.check_shape(preprocessing.shape(spec.name, array.shape) if continuous else array.shape)
        # A continuous input stays raw: images are four times smaller so. Whole numbers need no check for NaN.
        cast = spec.cast(array[:0] if continuous and array.dtype.kind in "iub" else array)
        result[spec.name] = array if continuous else cast
    counts = {name: len(array) for name, array in result.items() if array.ndim}
    if len(set(counts.values())) > 1:
        raise DataError(f"{source!r}: the arrays hold different numbers of samples: {counts}")
    count = next(iter(counts.values()), 1)
    if count == 0:
        raise DataError(f"{source!r} holds no samples")
    return Dataset(
        inputs=result,
        labels=None if labels is None else _labels(labels, count, source),
        source=source,
        preprocessing=preprocessing,
        continuous=frozenset(spec.name for spec in specs if spec.dtype.kind in "fV"),
    )


def _labels(labels: np.ndarray, count: int, source: str) -> np.ndarray:
    """A label for each of `count` samples."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{source!r}: expected labels of integers [N], given {labels.dtype} {shown(labels.shape)}")
    if len(labels) != count:
        raise DataError(f"{source!r}: {count} samples but {len(labels)} labels", cure="give each sample its label")
    return labels.astype(np.int64)


def _lone(specs: Sequence[InputSpec], source: str) -> InputSpec:
    if len(specs) != 1:
        names = ", ".join(repr(spec.name) for spec in specs)
        raise DataError(f"{source!r} holds one array, but the model has the inputs {names}", cure="use an .npz file")
    return specs[0]
