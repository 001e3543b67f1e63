# SPDX-License-Identifier: Apache-2.0
"""The tensors of a file from a stranger: their layout, their external data, their numbers.

The place of an external file is judged here and not by onnx: CVE-2022-25882, CVE-2024-27318, CVE-2026-27489,
CVE-2026-34445 and CVE-2026-34446 all went past checks that looked at the text of a path or at its last component.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from snncc.errors import UnreadableModel
from snncc.names import safe_name

MAX_ELEMENTS = 2**40
MAX_RANK = 64  # NumPy's own limit
MAX_LISTED = 100

EXPORT = "export the model again"
COPY = "put a plain copy of the file into the model's folder and name it there"
KEYS = frozenset({"location", "offset", "length", "checksum"})
TYPED_DATA = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
COMPLEX = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)
NUMBER = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A tensor, or an attribute with floats; `label` finds it in the file, nodes read it as `value`."""

    label: str
    value: str
    content: onnx.TensorProto | onnx.AttributeProto


Refusing = Callable[[str], AbstractContextManager[None]]


@contextmanager
def together() -> Iterator[Refusing]:
    """Collect what is raised within `refusing(label)` and raise it at the end as one UnreadableModel."""
    found: dict[tuple[str, str | None], list[str]] = {}

    @contextmanager
    def refusing(label: str) -> Iterator[None]:
        try:
            yield
        except UnreadableModel as refusal:
            found.setdefault((refusal.message, refusal.cure), []).append(label)

    yield refusing
    if found:
        lines = [f"{reason} ({_listed(labels, ', ')})" for (reason, _), labels in found.items()]
        cures = dict.fromkeys(cure for _, cure in found if cure is not None)
        count = sum(map(len, found.values()))
        heading = f"{count} constants cannot be used\n  " if len(lines) > 1 else ""
        raise UnreadableModel(heading + _listed(lines, "\n  "), cure=_listed(list(cures), "; "))


def _listed(texts: Sequence[str], separator: str) -> str:
    more = (f"and {len(texts) - MAX_LISTED} more",) if len(texts) > MAX_LISTED else ()
    return separator.join((*texts[:MAX_LISTED], *more))


def embed(constants: Sequence[Constant], folder: pathlib.Path | None, *, room: int) -> None:
    """Check the layout of every tensor and move external data, at most `room` bytes of it, into the proto.

    Raises UnreadableModel, with all the bad tensors, before any external file is opened.
    """
    external: list[tuple[str, onnx.TensorProto, pathlib.Path, int, int]] = []
    with together() as refusing:
        for constant in constants:
            tensor = constant.content
            if not isinstance(tensor, onnx.TensorProto):
                continue
            with refusing(constant.label):
                if tensor.data_location != onnx.TensorProto.EXTERNAL:
                    _check_layout(tensor)
                    continue
                path, offset, size = _place(tensor, folder)
                room -= size
                if room < 0:
                    raise UnreadableModel("external weights go past the limit of 2 GiB", cure="convert a smaller model")
                external.append((constant.label, tensor, path, offset, size))
    with together() as refusing:
        for label, tensor, path, offset, size in external:
            with refusing(label):
                tensor.raw_data = _bytes_of(path, offset, size)
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")


def _elements_and_bits(tensor: onnx.TensorProto) -> tuple[int, int]:
    """How many elements the tensor has, and the bits of one (0: strings)."""
    if any(dim < 0 for dim in tensor.dims):
        raise UnreadableModel(f"negative dimension {min(tensor.dims)}", cure=EXPORT)
    # Zeros are left out, so that no other dimension can hide behind one.
    if len(tensor.dims) > MAX_RANK or math.prod(dim or 1 for dim in tensor.dims) > MAX_ELEMENTS:
        reason = f"more than {MAX_ELEMENTS:,} elements or {MAX_RANK} dimensions"
        raise UnreadableModel(reason, cure="convert a smaller model")
    if tensor.HasField("segment"):
        raise UnreadableModel("is only a segment of a tensor", cure=EXPORT)
    try:
        bits = 0 if tensor.data_type == onnx.TensorProto.STRING else ir.DataType(tensor.data_type).bitwidth
    except (TypeError, ValueError) as error:
        raise UnreadableModel(f"unknown element type {tensor.data_type}", cure=EXPORT) from error
    return math.prod(tensor.dims), bits


def _data_fields(tensor: onnx.TensorProto) -> list[str]:
    raw = ["raw_data"] if tensor.HasField("raw_data") else []
    return raw + [name for name in TYPED_DATA if len(getattr(tensor, name))]


def _check_layout(tensor: onnx.TensorProto) -> None:
    """An embedded tensor holds exactly the data that its shape and type announce."""
    elements, bits = _elements_and_bits(tensor)
    if tensor.external_data:
        raise UnreadableModel("names an external file but is not marked as external", cure=EXPORT)
    expected_field = helper.tensor_dtype_to_field(tensor.data_type)
    present = _data_fields(tensor) or [expected_field]
    allowed = {expected_field, "raw_data"} if bits else {expected_field}
    if len(present) > 1 or not allowed.issuperset(present):
        raise UnreadableModel(f"holds {' and '.join(present)} instead of {expected_field}", cure=EXPORT)
    packed = -(-elements * bits // 8)
    if present == ["raw_data"]:
        unit, found, expected = "bytes", len(tensor.raw_data), packed
    else:
        per_element = 2 if tensor.data_type in COMPLEX else 1
        unit, found = "numbers", len(getattr(tensor, expected_field))
        expected = packed if 0 < bits < 8 else elements * per_element
    if found != expected:
        shape = "x".join(map(str, tensor.dims)) or "scalar"
        raise UnreadableModel(f"holds {found:,} {unit}, its shape {shape} needs {expected:,}", cure=EXPORT)


def _place(tensor: onnx.TensorProto, folder: pathlib.Path | None) -> tuple[pathlib.Path, int, int]:
    """File, offset and size of external data; nothing is opened."""
    elements, bits = _elements_and_bits(tensor)
    if folder is None:
        reason = "its data is in a file, and a model in memory has no folder"
        raise UnreadableModel(reason, cure="give the path of the model instead")
    if not bits or _data_fields(tensor):
        raise UnreadableModel("both embedded and external data, or external strings", cure=EXPORT)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) < len(tensor.external_data) or not KEYS.issuperset(entries) or not entries.get("location"):
        keys = _listed([safe_name(entry.key) for entry in tensor.external_data], ", ") or "none"
        reason = f"external data takes one location, offset, length and checksum, not the keys: {keys}"
        raise UnreadableModel(reason, cure=EXPORT)
    path, available = _inside(entries["location"], folder)
    for key in ("offset", "length"):
        if not NUMBER.fullmatch(entries.get(key, "0")):
            reason = f"{key} {safe_name(entries[key])!r} of its external data is no whole number from 0 to 10^18"
            raise UnreadableModel(reason, cure=EXPORT)
    offset, size = int(entries.get("offset", 0)), -(-elements * bits // 8)
    length = int(entries.get("length", max(available - offset, 0)))
    name = safe_name(entries["location"])
    if offset + length > available:
        reason = f"bytes {offset:,} to {offset + length:,} of {name}, which has only {available:,}"
        raise UnreadableModel(reason, cure="copy or download the file again")
    if length != size:
        raise UnreadableModel(f"has {length:,} bytes in {name}, its shape and type need {size:,}", cure=EXPORT)
    return path, offset, size


def _inside(location: str, folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    """The file, without links, and its size. A way out of `folder` is reported whether or not the target exists."""
    name = safe_name(location)
    parsed = (pathlib.PurePosixPath(location), pathlib.PureWindowsPath(location))
    if "\0" in location or any(path.anchor or ".." in path.parts for path in parsed):
        raise UnreadableModel(f"external file '{name}' is not below the model's folder", cure=COPY)
    try:
        home = folder.resolve(strict=True)
        # Each component is resolved: a link that leaves the folder and comes back has left it.
        steps = [home.joinpath(*parsed[0].parts[: end + 1]).resolve() for end in range(len(parsed[0].parts))]
        if not all(step.is_relative_to(home) for step in steps):
            raise UnreadableModel(f"external file '{name}' leaves the model's folder through a link", cure=COPY)
        status = (steps or [home])[-1].stat()
    except FileNotFoundError as error:
        cure = f"put {name}, which was exported with the model, beside it"
        raise UnreadableModel(f"external weights missing: {name}", cure=cure) from error
    except (OSError, RuntimeError, ValueError) as error:  # the latter: a circle of links, an impossible name
        raise UnreadableModel(
            f"external file '{name}' cannot be read", cure="check its permissions and links"
        ) from error
    # A hard link shows any file of this disk as one of the folder's own (CVE-2026-34446).
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise UnreadableModel(f"external file '{name}' is no regular file, or has other hard links", cure=COPY)
    return steps[-1], status.st_size


def _bytes_of(path: pathlib.Path, offset: int, size: int) -> bytes:
    try:
        # The path was resolved: a link or a pipe there now was put there since.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        reason = f"external file '{safe_name(path.name)}' cannot be read ({error.strerror})"
        raise UnreadableModel(reason, cure="check its permissions") from error
    if len(data) != size:
        raise UnreadableModel(f"external file '{safe_name(path.name)}' ends early", cure="copy or download it again")
    return data


def require_finite(constant: Constant, weights: frozenset[str]) -> None:
    """Raise UnreadableModel for NaN, and for infinity in a layer's weight or bias; clips and masks may hold it."""
    content = constant.content
    if isinstance(content, onnx.AttributeProto):
        values = np.asarray([content.f, *content.floats])
    elif content.data_type in COMPLEX or ir.DataType(content.data_type).is_floating_point():
        try:
            values = numpy_helper.to_array(content)
        except (ValueError, TypeError, OverflowError) as error:
            raise UnreadableModel("holds numbers that do not fit its type", cure=EXPORT) from error
    else:
        return
    if np.isnan(values).any():
        raise UnreadableModel("holds NaN", cure="export the model again with finite weights")
    if constant.value in weights and np.isinf(values).any():
        raise UnreadableModel("holds infinity and is the weight or bias of a layer", cure="export finite weights")
