# SPDX-License-Identifier: Apache-2.0
"""Folders of images as arrays of samples."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from snncc.data.inputs import InputSpec, shown
from snncc.errors import DataError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm"}
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
_LIMIT = 8 << 30  # bytes, decoded


def read_folder(folder: Path, spec: InputSpec, layout: str) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The images in `folder` as uint8 samples of `spec`, and the index of each one's class subfolder, if any.

    layout: of the preprocessing to come: "nhwc-to-nchw" gives [N, H, W, C], "nchw-to-nhwc" gives [N, C, H, W], and
    "as-is" what the model wants. Files are taken in the order of their names; hidden ones are ignored.
    Raises DataError for what is no image, leaves the folder, or has another size than the model wants.
    """
    paths, labels = _labelled(folder)
    channels_first, channels, size = _wanted(spec, layout)
    first = _read(paths[0], folder, channels, size)
    if len(paths) * first.nbytes > _LIMIT:
        raise DataError(f"the images in {folder.name!r} decode to more than {_LIMIT >> 30} GiB")
    samples = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        samples[index] = _read(path, folder, channels, (first.shape[0], first.shape[1]))
    if channels_first:
        samples = np.ascontiguousarray(samples.transpose(0, 3, 1, 2))
    return {spec.name: samples}, labels


def _labelled(folder: Path) -> tuple[list[Path], np.ndarray | None]:
    """The files of the images, and the index of each one's class subfolder, if there are any."""
    entries = _entries(folder, folder)
    classes = [entry for entry in entries if entry.is_dir()]
    if classes and len(classes) < len(entries):
        stray = next(entry for entry in entries if not entry.is_dir())
        raise DataError(f"{folder.name!r} mixes class subfolders with files ({stray.name!r})")
    groups = [_entries(entry, folder) for entry in classes] if classes else [entries]
    paths = [path for group in groups for path in group]
    if not paths:
        raise DataError(f"{folder.name!r} holds no images")
    return paths, np.repeat(np.arange(len(groups)), [len(group) for group in groups]) if classes else None


def _entries(folder: Path, root: Path) -> list[Path]:
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    for entry in entries:
        shown_name = entry.relative_to(root).as_posix()
        if not entry.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{shown_name!r} is a link that leaves the folder {root.name!r}")
        if entry.is_dir() and folder != root:
            raise DataError(f"{shown_name!r}: class subfolders hold images only, no further folders")
        if not entry.is_dir() and entry.suffix.lower() not in _SUFFIXES:
            raise DataError(f"{shown_name!r} is no image of a known kind ({', '.join(sorted(_SUFFIXES))})")
    return entries


def _wanted(spec: InputSpec, layout: str) -> tuple[bool, int, tuple[int | None, int | None]]:
    """Whether the samples carry their channels first, how many, and the height and width that the model wants."""
    if len(spec.shape) != 4:
        raise DataError(f"input {spec.name!r} {shown(spec.shape)} takes no images: it needs 4 axes")
    _, second, third, last = spec.shape
    model_first = {"nhwc-to-nchw": [True], "nchw-to-nhwc": [False], "as-is": [True, False]}[layout]
    fits = [first for first in model_first if (second if first else last) in (1, 3)]
    if len(fits) != 1:
        problem = "may have its channels on axis 1 or 3" if fits else "has neither 1 nor 3 channels"
        raise DataError(f"input {spec.name!r} {shown(spec.shape)} {problem}", cure="name the layout")
    channels = second if fits[0] else last
    size = (third, last) if fits[0] else (second, third)
    data_first = fits[0] if layout == "as-is" else not fits[0]
    return data_first, channels or 1, size


def _read(path: Path, root: Path, channels: int, size: tuple[int | None, int | None]) -> np.ndarray:
    """The image as uint8 [H, W, C]."""
    name = path.relative_to(root).as_posix()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                given = (image.height, image.width)
                # Before decoding: the size in the header is all that a wrong file costs.
                if any(want not in (None, have) for want, have in zip(size, given, strict=True)):
                    raise DataError(
                        f"image {name!r}: expected {shown(size)} (height, width), given {shown(given)}",
                        cure="resize the images beforehand",
                    )
                if image.mode[0] in "IF":
                    raise DataError(f"image {name!r} has more than 8 bits per channel", cure="convert the images")
                pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"), np.uint8)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"image {name!r} is suspiciously large: {error}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"image {name!r} is damaged or of another kind than its name says") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"image {name!r} cannot be read: {str(error).replace(str(path), name)}") from error
    return pixels.reshape(*given, channels)
