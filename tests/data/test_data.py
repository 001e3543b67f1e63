# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import math
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snncc.data.dataset import Dataset, Preprocessing, read, synthetic
from snncc.data.inputs import InputSpec
from snncc.errors import DataError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 3, 4, 5)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def spec(*shape: int | None, name: str = "x", dtype: type = np.float32) -> InputSpec:
    return InputSpec(name=name, shape=shape, dtype=np.dtype(dtype))


NCHW = (spec(None, 3, 4, 5),)


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def load(path: Path, specs: tuple[InputSpec, ...] = NCHW, split: str = "test", **options: object) -> Dataset:
    preprocessing = msgspec.convert(options, Preprocessing)
    return read(path, specs, preprocessing=preprocessing, split=split)  # type: ignore[arg-type]


# Preprocessing


@given(st.integers(1, 4), st.sampled_from(["as-is", "nhwc-to-nchw", "nchw-to-nhwc"]), st.booleans())
def test_preprocessing_is_the_equation(count: int, layout: str, channels_last: bool) -> None:
    mean, std = (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)
    images = IMAGES[:count]
    last = {"as-is": channels_last, "nhwc-to-nchw": True, "nchw-to-nhwc": False}[layout]
    wanted = (images / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    given_images = images.transpose(0, 2, 3, 1) if last else images
    result_last = last if layout == "as-is" else not last
    preprocessing = Preprocessing(scale=1 / 255, mean=mean, std=std, layout=layout)  # type: ignore[arg-type]
    got = preprocessing.apply("x", given_images)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert preprocessing.shape("x", given_images.shape) == got.shape
    np.testing.assert_allclose(got, wanted.transpose(0, 2, 3, 1) if result_last else wanted, rtol=1e-6)


def test_one_entry_serves_all_channels() -> None:
    got = Preprocessing(mean=(1.0,), std=(1.0, 2.0, 4.0)).apply("x", IMAGES)
    np.testing.assert_allclose(got, (IMAGES - 1.0) / np.reshape([1, 2, 4], (3, 1, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((2, 4, 4, 5), "as-is", "mean or std has 3 entries, which no channel axis"),
        ((2, 3, 4, 3), "as-is", "may lie on axis 1 or 3"),
        ((2, 3, 4, 5), "nhwc-to-nchw", "3 entries"),
        ((2, 3), "nhwc-to-nchw", "needs 4 axes"),
    ],
)
def test_channels_that_cannot_be_told(shape: tuple[int, ...], layout: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preprocessing(mean=(1.0, 2.0, 3.0), layout=layout).apply("x", np.zeros(shape))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": math.inf}, "finite"),
        ({"mean": (math.nan,)}, "finite"),
        ({"std": (1.0, 0.0)}, "std must be positive"),
        ({"mean": (1.0, 2.0), "std": (1.0, 2.0, 3.0)}, "2 means but 3 standard"),
    ],
)
def test_preprocessing_is_validated(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        msgspec.convert(fields, Preprocessing)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"gamma": 1.0}, Preprocessing)


# Arrays


def test_npz_splits(tmp_path: Path) -> None:
    path = saved(tmp_path, x=IMAGES, y=LABELS, calib_x=IMAGES[:2])
    test, calibration = load(path), load(path, split="calibration")
    assert (len(test), len(calibration), test.source) == (6, 2, "data.npz")
    np.testing.assert_array_equal(test.labels, LABELS)  # type: ignore[arg-type]
    assert calibration.labels is None
    assert load(saved(tmp_path, x=IMAGES, y=LABELS), split="calibration").labels is None
    assert load(saved(tmp_path, x=IMAGES)).labels is None
    with pytest.raises(DataError, match="expected an array 'x', given 'calib_x'"):
        load(saved(tmp_path, calib_x=IMAGES))


def test_npz_by_input_names(tmp_path: Path) -> None:
    specs = (spec(None, 2, name="a"), spec(None, 3, name="ids", dtype=np.int64))
    arrays = {"a": np.ones((4, 2)), "ids": np.arange(12, dtype=np.int32).reshape(4, 3), "y": np.arange(4)}
    data = load(saved(tmp_path, **arrays), specs, scale=2.0)
    batches = list(data.batches(3))
    assert [len(batch["a"]) for batch in batches] == [3, 1]
    np.testing.assert_array_equal(batches[0]["a"], np.full((3, 2), 2.0))
    np.testing.assert_array_equal(batches[1]["ids"], [[9, 10, 11]])  # integers are not scaled
    assert batches[0]["a"].dtype == np.float32
    assert batches[0]["ids"].dtype == np.int64
    with pytest.raises(DataError, match="expected an array 'ids'"):
        load(saved(tmp_path, a=arrays["a"]), specs)
    with pytest.raises(DataError, match="different numbers of samples"):
        load(saved(tmp_path, a=arrays["a"], ids=arrays["ids"][:2]), specs)


def test_npy_and_subsets(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(IMAGES.transpose(0, 2, 3, 1)))
    data = load(tmp_path / "x.npy", layout="nhwc-to-nchw")
    np.testing.assert_array_equal(next(iter(data.batches(9)))["x"], IMAGES)
    chosen = data.subset([4, 1])
    np.testing.assert_array_equal(next(iter(chosen.batches(9)))["x"], IMAGES[[4, 1]])
    assert (len(data.head(2)), len(data.head(99)), len(chosen)) == (2, 6, 2)
    with pytest.raises(DataError, match="at least one sample"):
        next(data.batches(0))
    with pytest.raises(DataError, match="inputs 'a', 'b'"):
        load(tmp_path / "x.npy", (spec(None, 1, name="a"), spec(None, 1, name="b")))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES[0]}, r"input 'x': expected 4 axes \[\?, 3, 4, 5\].*given 3 axes \[3, 4, 5\]"),
        ({"x": IMAGES[:, :2]}, r"expected shape \[\?, 3, 4, 5\], given \[6, 2, 4, 5\]"),
        ({"x": IMAGES.astype(complex)}, "expected float32, given complex128"),
        ({"x": np.where(IMAGES[0, 0, 0, 0] == IMAGES, np.nan, IMAGES)}, "NaN"),
        ({"x": IMAGES[:0]}, "no samples"),
        ({"x": IMAGES, "y": LABELS[:5]}, "6 samples but 5 labels"),
        ({"x": IMAGES, "y": LABELS / 2}, "expected labels of integers"),
        ({"x": IMAGES, "y": LABELS[:, None]}, r"given int64 \[6, 1\]"),
        ({"x": np.array([object()])}, "Python objects"),
        ({"x": np.zeros(3, [("a", "f4")])}, "records"),
        ({"z": IMAGES}, "expected an array 'x'"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(saved(tmp_path, **arrays))


def npy(header: dict[str, object], content: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[arg-type]
    return stream.getvalue() + content


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("../x.npy", b"", "leaves the archive"),
        ("/x.npy", b"", "leaves the archive"),
        ("c:\\x.npy", b"", "leaves the archive"),
        ("x.npy", b"nonsense", "cannot be read"),
        ("x.npy", npy({"descr": "<f4", "fortran_order": False, "shape": (2**40,)}), "truncated"),
        ("x.npy", npy({"descr": "<f4", "fortran_order": False, "shape": (-1, 2)}), "announces the shape"),
        ("x.npy", npy({"descr": "<f4", "fortran_order": False, "shape": (1,)}, b"12345"), "followed by other data"),
    ],
)
def test_hostile_archives(tmp_path: Path, member: str, content: bytes, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr(member, content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "bad.npz")


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snncc.data.arrays.LIMIT", 1000)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(10_000, np.uint8))
    with pytest.raises(DataError, match="would unpack to more"):
        load(tmp_path / "bomb.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_damage_anywhere_is_a_data_error(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, x=IMAGES) if suffix == ".npz" else tmp_path / "data.npy"
    if suffix == ".npy":
        np.save(path, IMAGES)
    whole = path.read_bytes()
    for cut in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="data"):
            load(path)
    for at in range(0, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            load(path)
        except DataError as error:
            assert str(tmp_path) not in str(error)  # noqa: PT017 - a changed pixel is no error


def test_paths_that_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'none.npz' cannot be read: No such file"):
        load(tmp_path / "none.npz")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "none")
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(DataError, match="neither"):
        load(tmp_path / "a.txt")


# Synthetic inputs


def test_synthetic_inputs_are_reproducible_prefixes() -> None:
    specs = (spec(1, 3, name="a"), spec(None, 2, name="b"), spec(None, 4, name="i", dtype=np.int64), spec(name="c"))
    few, many = synthetic(specs, 3, seed=7), synthetic(specs, 300, seed=7)
    for name in "abi":
        np.testing.assert_array_equal(few.inputs[name], many.inputs[name][:3])
    assert few.source == "synthetic inputs"
    assert not many.inputs["i"].any()
    assert abs(many.inputs["a"].mean()) < 0.2 < abs(many.inputs["a"].std())
    assert not np.array_equal(few.inputs["a"][:, :2], few.inputs["b"])
    assert not np.array_equal(few.inputs["a"], synthetic(specs, 3, seed=8).inputs["a"])
    assert {name: array.shape for name, array in next(few.batches(2)).items()} == {
        "a": (2, 3), "b": (2, 2), "i": (2, 4), "c": ()
    }  # fmt: skip
    with pytest.raises(DataError, match="free extent"):
        synthetic((spec(None, None),), 1, seed=0)


def test_fewer_samples_are_made_up_of_large_inputs() -> None:
    sizes = {(3, 320, 320): 64, (2, 1 << 20): 10, (1 << 25,): 1}
    assert {shape: len(synthetic((spec(None, *shape), spec(None, 2, name="b")), 64, 0)) for shape in sizes} == sizes
    with pytest.raises(DataError, match="too large to make up a sample"):
        synthetic((spec(None, 1 << 29),), 64, 0)


# Images


def images(folder: Path, names: list[str], *, size: tuple[int, int] = (5, 4), mode: str = "RGB") -> Path:
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = IMAGES[index].transpose(1, 2, 0)
        Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).convert(mode).save(path)
    return folder


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((None, 3, 4, 5), "as-is"),
        ((1, 3, None, None), "as-is"),
        ((None, 4, 5, 3), "as-is"),
        ((None, 3, 4, 5), "nhwc-to-nchw"),
        ((None, 4, 5, 3), "nchw-to-nhwc"),
    ],
)
def test_image_folders(tmp_path: Path, shape: tuple[int | None, ...], layout: str) -> None:
    folder = images(tmp_path / "set", ["dog/b.png", "dog/a.PNG", "cat/z.png"])
    (folder / ".hidden").write_text("")
    data = load(folder, (spec(*shape),), layout=layout, scale=0.5)
    wanted = IMAGES[[2, 1, 0]] / 2
    got = next(data.batches(9))["x"]
    np.testing.assert_array_equal(got, wanted.transpose(0, 2, 3, 1) if shape[-1] == 3 else wanted)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 1]
    assert data.source == "set"
    assert data.inputs["x"].dtype == np.uint8


def test_flat_and_grey_folders(tmp_path: Path) -> None:
    data = load(images(tmp_path, ["b.png", "a.png"], mode="L"), (spec(None, 1, 4, 5),))
    assert data.labels is None
    assert data.inputs["x"].shape == (2, 1, 4, 5)


def test_image_folders_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path, message: str, specs: tuple[InputSpec, ...] = NCHW) -> None:
        with pytest.raises(DataError, match=message) as caught:
            load(folder, specs)
        assert str(tmp_path) not in str(caught.value)

    good = images(tmp_path / "good", ["a.png"])
    refused(images(tmp_path / "size", ["a.png"], size=(6, 4)), r"expected \[4, 5\] \(height, width\), given \[4, 6\]")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no images")
    refused(images(images(tmp_path / "mixed", ["a.png"]), ["c/a.png"]), "mixes class subfolders")
    refused(images(tmp_path / "deep", ["c/d/a.png"]), "no further folders")
    (images(tmp_path / "text", ["a.png"]) / "notes.txt").write_text("")
    refused(tmp_path / "text", "'notes.txt' is no image")
    (images(tmp_path / "bad", ["b.png"]) / "a.png").write_bytes(b"not a picture")
    refused(tmp_path / "bad", "damaged")
    whole = (good / "a.png").read_bytes()
    (images(tmp_path / "cut", ["b.png"]) / "a.png").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "cut", "'a.png' (cannot be read|is damaged)")
    deep = tmp_path / "sixteen"
    deep.mkdir()
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(deep / "a.png")
    refused(deep, "more than 8 bits")
    refused(good, "takes no images", (spec(None, 60),))
    refused(good, "neither 1 nor 3 channels", (spec(None, 4, 4, 5),))
    refused(good, "channels on axis 1 or 3", (spec(None, 3, 4, 3),))
    for name, target in (("link", good / "a.png"), ("linked", good)):
        folder = images(tmp_path / name, ["c/b.png"])
        (folder / "c" / "a.png" if name == "link" else folder / "d").symlink_to(target)
        refused(folder, "link that leaves the folder")
    for pixels in (15, 5):  # a warning of Pillow, and its error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
        refused(good, "suspiciously large")


def test_reading_data_imports_no_framework() -> None:
    code = "import sys, snncc.data; print(sorted({'torch', 'onnxruntime', 'PIL'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
