# SPDX-License-Identifier: Apache-2.0
"""The bundle NAME.snn/: reading it (no code in it is ever run) and the bytes of its files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import safetensors.numpy
from safetensors import SafetensorError

from snncc.ann.truth import Truth
from snncc.bundles import manifest as manifests
from snncc.bundles.manifest import Manifest
from snncc.conversion.shapes import check_shapes
from snncc.data.dataset import Dataset, read
from snncc.encoding import encode
from snncc.errors import BundleError, InvariantBroken
from snncc.frontend.files.load import load
from snncc.frontend.normal.samples import samples_first
from snncc.integer.executor import as_floats
from snncc.ir.analog_tail import AnalogTail
from snncc.ir.check import check
from snncc.ir.network import Network, Stage, frozen
from snncc.ir.nodes import AnyNode
from snncc.ir.schedule import Schedule

Array = npt.NDArray[Any]
NETWORK_SCHEMA = "snncc/network/1"
FILE_LIMIT = 4 << 30
#: What reading a network raises that nobody wrote like that: its text, its arrays, or how the two fit together.
UNSOUND = (
    *(msgspec.DecodeError, SafetensorError, InvariantBroken, RecursionError),
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ArithmeticError),
)


class NetworkDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`network.json`: the whole network; arrays lie in `weights.safetensors` under the names that nodes use."""

    schema: str = NETWORK_SCHEMA
    stage: Stage
    schedule: Schedule
    outputs: tuple[str, ...]
    nodes: tuple[AnyNode, ...]
    analog_tail: AnalogTail | None = None


def network_bytes(network: Network) -> tuple[bytes, bytes]:
    """A network as network.json and weights.safetensors."""
    document = NetworkDocument(
        stage=network.stage,
        schedule=network.schedule,
        outputs=network.outputs,
        nodes=network.nodes,  # type: ignore[arg-type]
        analog_tail=network.analog_tail,
    )
    arrays = {name: np.array(a, order="C") for name, a in sorted(network.arrays.items())}  # scalars stay scalars
    return encode(document), safetensors.numpy.save(arrays)


def network_from(document: bytes, weights: bytes) -> Network:
    """The network of network.json and weights.safetensors; raises BundleError when they do not fit."""
    try:
        decoded = msgspec.json.decode(document, type=NetworkDocument)
        arrays = {name: frozen(a) for name, a in safetensors.numpy.load(weights).items()}
        network = Network(
            nodes=decoded.nodes,
            outputs=decoded.outputs,
            arrays=dict(sorted(arrays.items())),
            schedule=decoded.schedule,
            stage=decoded.stage,
            analog_tail=decoded.analog_tail,
        )
        check(network, "reading")
        if network.stage == "integer":  # shapes are found by the executor of floats
            check_shapes(as_floats(network), "reading")
        else:
            check_shapes(network, "reading")
    except UNSOUND as error:
        raise BundleError(f"the network cannot be read: {error}", cure="convert the model again") from None
    return network


def samples_bytes(data: Dataset) -> bytes:
    """Raw samples and labels as an .npz with fixed time stamps."""
    names = {name: name for name in data.inputs} if len(data.inputs) > 1 else {next(iter(data.inputs)): "x"}
    arrays = {names[name]: array for name, array in data.inputs.items()}
    if data.labels is not None:
        arrays["y"] = data.labels
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


def model_bytes(model: onnx.ModelProto) -> bytes:
    """The source graph, self-contained."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An opened bundle."""

    path: Path
    manifest: Manifest
    network: Network

    @property
    def name(self) -> str:
        """The name of the converted model."""
        return self.manifest.name

    def truth(self) -> Truth:
        """The ANN, from ann.onnx."""
        return Truth(samples_first(load(self.verified("ann.onnx")), self.manifest.shapes))

    def verified(self, name: str) -> Path:
        """The path of a file whose hash has been checked."""
        manifests.verify_hashes(self.manifest, {name: read_member(self.path, name)})
        return self.path / name

    def samples(self, truth: Truth) -> Dataset:
        """The samples that the bundle carries."""
        path = self.verified("samples.npz")
        return read(path, truth.inputs, preprocessing=self.manifest.preprocessing, split="test")

    def data(self, given: Path | str | Dataset | None, truth: Truth) -> Dataset:
        """The samples that the bundle carries where none are given; other files are preprocessed as it says."""
        if isinstance(given, Dataset):
            return given
        if not given:
            return self.samples(truth)
        return read(Path(given), truth.inputs, preprocessing=self.manifest.preprocessing, split="test")


def read_member(folder: Path, name: str) -> bytes:
    """A file of a bundle; it must lie in the folder itself."""
    path = folder / name
    try:
        if path.is_symlink():
            raise BundleError(f"{name} in {folder.name} is a link", cure="copy the bundle with its files")
        if path.stat().st_size > FILE_LIMIT:
            raise BundleError(f"{name} in {folder.name} is larger than 4 GiB", cure="convert the model again")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{folder.name} has no readable {name}: {error.strerror}", cure="convert the model again"
        ) from None


def open_bundle(path: Path) -> Bundle:
    """Open a bundle and check the hashes of what the network needs; raises BundleError."""
    if not path.is_dir():
        raise BundleError(f"{path.name} is not a bundle", cure="give the folder NAME.snn that `snncc convert` wrote")
    manifest = manifests.decode(read_member(path, "manifest.json"))
    files: Mapping[str, bytes] = {n: read_member(path, n) for n in ("network.json", "weights.safetensors")}
    manifests.verify_hashes(manifest, files)
    return Bundle(
        path=path, manifest=manifest, network=network_from(files["network.json"], files["weights.safetensors"])
    )


def newest_bundle(folder: Path) -> Path:
    """The bundle in a folder that was written last; raises BundleError when there is none."""
    found = [p for p in folder.glob("*.snn") if (p / "manifest.json").is_file()]
    if not found:
        raise BundleError("there is no bundle (*.snn) here", cure="run `snncc convert MODEL` first, or name the bundle")
    return max(found, key=lambda p: ((p / "manifest.json").stat().st_mtime_ns, p.name))


def opened_bundle(bundle: Bundle | str | Path | None) -> Bundle:
    """A bundle as it is, or opened: at its path, or the newest one here."""
    return bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle) if bundle else newest_bundle(Path()))
