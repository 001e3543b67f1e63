# SPDX-License-Identifier: Apache-2.0
"""Arrays from .npz and .npy files of strangers: nothing is unpickled, sizes are checked before anything is unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np

from snncc.data.inputs import InputSpec, shown
from snncc.errors import DataError

Split = Literal["calibration", "test"]
LIMIT = 8 << 30  # bytes, unpacked


def read_npz(path: Path, specs: Sequence[InputSpec], split: Split) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The arrays of the inputs, for calibration those named so where there are, and the labels."""
    prefixes = ("calib_", "") if split == "calibration" else ("",)
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, path.name)

        def load(name: str) -> np.ndarray:
            with archive.open(members[name]) as stream:
                return array_of(stream, members[name].file_size, f"{path.name}: {name}")

        for prefix in prefixes:
            names = _names(specs, prefix, members)
            if len(names) == len(specs):
                labels = f"{prefix}y" if prefix or split == "test" else ""
                chosen = {spec: load(name) for spec, name in names.items()}
                return chosen, load(labels) if labels in members and labels not in chosen else None
    missing = next(spec.name for spec in specs if spec.name not in names)
    keys = (prefix + name for prefix in prefixes for name in _keys(specs, missing))
    expected = " or ".join(dict.fromkeys(map(repr, keys)))
    raise DataError(f"{path.name!r}: expected an array {expected}, given {', '.join(map(repr, members)) or 'none'}")


def _members(archive: zipfile.ZipFile, label: str) -> dict[str, zipfile.ZipInfo]:
    """The arrays of an archive by name."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = PurePosixPath(info.filename.replace("\\", "/"))
        if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise DataError(f"{label!r}: the member name {info.filename!r} leaves the archive")
        members[info.filename.removesuffix(".npy")] = info
    if sum(info.file_size for info in members.values()) > LIMIT:
        raise DataError(f"{label!r} would unpack to more than {LIMIT >> 30} GiB")
    return members


def _keys(specs: Sequence[InputSpec], name: str) -> list[str]:
    """What the array of an input may be called; that of a lone input also x."""
    return [name, "x"] if len(specs) == 1 else [name]


def _names(specs: Sequence[InputSpec], prefix: str, members: Mapping[str, object]) -> dict[str, str]:
    """The array of each input that has one, by the input's name."""
    found: dict[str, str] = {}
    for spec in specs:
        for key in _keys(specs, spec.name):
            if prefix + key in members:
                found.setdefault(spec.name, prefix + key)
    return found


def array_of(stream: IO[bytes], size: int, label: str) -> np.ndarray:
    """The .npy file of `size` bytes in `stream`, checked before memory is set aside for it."""
    if size > LIMIT:
        raise DataError(f"{label!r} is larger than {LIMIT >> 30} GiB")
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(f"{label!r} has the unknown version {version} of the .npy format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise DataError(f"{label!r} holds Python objects, which are not read", cure="save an array of numbers")
    if dtype.names is not None or dtype.subdtype is not None:
        raise DataError(f"{label!r} holds records; expected an array of numbers")
    nbytes = math.prod(shape) * dtype.itemsize
    if any(extent < 0 for extent in shape):
        raise DataError(f"{label!r} announces the shape {shown(shape)}")
    if nbytes > size:
        raise DataError(f"{label!r} is truncated: {nbytes} bytes announced, {size} present")
    content = stream.read(nbytes)
    if len(content) < nbytes or stream.read(1):
        raise DataError(f"{label!r} is truncated or followed by other data")
    array: np.ndarray[Any, Any] = np.frombuffer(bytearray(content), dtype)
    return array.reshape(shape, order="F" if fortran else "C")
