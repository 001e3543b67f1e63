# SPDX-License-Identifier: Apache-2.0
"""Integer networks in bundles: written, read again, simulated beside the floats, shown in the report."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from snncc import api
from snncc.bundles.bundle import network_bytes, network_from, open_bundle
from snncc.bundles.integer_files import integer_network
from snncc.bundles.targets import EmitOptions
from snncc.cli.commands import cli
from snncc.data.dataset import read
from snncc.errors import BundleError
from snncc.integer import lower
from snncc.ir.nodes import Linear
from snncc.reports.document import report_of

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("integer") / "digits.snn"
    options = EmitOptions(integer=True, max_timesteps=64)
    converted = api.convert(DIGITS, out=path, emit_options=options)
    assert any("one threshold per channel" in note for note in converted.notes)
    return path


def test_network_is_read_as_it_was_written(bundle: Path) -> None:
    opened = open_bundle(bundle)
    found = integer_network(opened)
    calibration = read(DIGITS.with_suffix(".npz"), opened.truth().inputs, split="calibration")
    made = lower(opened.network, calibration, max_timesteps=64)
    assert found.network == made.network
    assert (found.widths, found.input, found.max_timesteps) == (made.widths, made.input, 64)
    assert found.output_scale == made.output_scale


def test_module_in_the_bundle_agrees_with_the_engine(bundle: Path) -> None:
    import torch

    opened = open_bundle(bundle)
    integer, data = integer_network(opened), opened.samples(opened.truth()).head(100)
    space: dict[str, object] = {"__name__": "emitted", "__file__": str(bundle / "integer" / "model.py")}
    exec(compile((bundle / "integer" / "model.py").read_text(), "model.py", "exec"), space)
    network = space["IntegerNetwork"]
    assert callable(network)
    found = network()(torch.from_numpy(integer.quantized(next(data.batches(100))["image"])))
    result = api.simulate(opened, data=data, engine="integer")
    labels = data.labels
    assert labels is not None
    assert result.accuracy["8"] == (found.numpy().argmax(1) == labels).mean()


def test_floats_and_ann_stand_beside_the_integers(bundle: Path) -> None:
    result = api.simulate(bundle, engine="integer")
    floats = api.simulate(bundle, engine="torch")
    assert result.float_snn is not None
    assert result.float_snn.accuracy == floats.accuracy
    assert result.float_snn.agreement["8"] >= 0.99
    assert result.ann_accuracy == floats.ann_accuracy
    assert floats.float_snn is None


def test_command_line(bundle: Path) -> None:
    """`simulate --engine integer` prints the three accuracies; JSON holds them."""
    run = CliRunner().invoke(cli, ["simulate", str(bundle), "--engine", "integer", "-q"], catch_exceptions=False)
    assert run.exit_code == 0
    run = CliRunner().invoke(cli, ["simulate", str(bundle), "--engine", "integer", "--json"], catch_exceptions=False)
    found = json.loads(run.stdout)
    assert found["engine"] == "integer"
    assert found["float_snn"]["agreement"].keys() == found["accuracy"].keys()


def test_widths_are_in_report_and_page(bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())
    rows = report["integer"]["widths"]
    assert rows == json.loads((bundle / "integer" / "lowering.json").read_text())["widths"]
    assert {"layer", "quantity", "smallest", "largest", "type"} == rows[0].keys()
    page = (bundle / "report.html").read_text()
    assert "In whole numbers" in page
    assert f"{max(row['largest'] for row in rows):,}" in page


def test_another_precision_replaces_the_network(bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "digits.snn"
    shutil.copytree(bundle, copy)
    arguments = ["emit", str(copy), "--to", "torch", "--integer", "--weights", "ternary", "-q"]
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0
    opened = open_bundle(copy)
    found = integer_network(opened)
    assert found.weights == "ternary"
    assert found.max_timesteps == 256
    assert report_of(opened).integer is not None
    ternary = [a for name, a in found.network.arrays.items() if name.endswith("/weight")]
    assert all(set(np.unique(a)) <= {-1, 0, 1} for a in ternary)


def test_changed_files_are_refused(bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "digits.snn"
    shutil.copytree(bundle, copy)
    path = copy / "integer" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"integer/weights\.safetensors was changed"):
        integer_network(open_bundle(copy))


def test_without_an_integer_network_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "digits.snn"
    api.convert(DIGITS, out=path, granularity="channel", method="dnisnm")
    opened = open_bundle(path)
    assert "integer/network.json" not in opened.manifest.files
    result = api.simulate(path, timesteps=4, engine="integer", data=opened.samples(opened.truth()).head(32))
    assert result.float_snn is not None
    assert msgspec.json.encode(result)


def test_shapes_of_an_integer_network_are_checked(bundle: Path) -> None:
    """A node that declares another shape than its function gives is noticed before anything runs."""
    integer = integer_network(open_bundle(bundle)).network
    assert network_from(*network_bytes(integer)) == integer
    node = next(n for n in integer.nodes if isinstance(n, Linear))
    wrong = msgspec.structs.replace(node, shape=(*node.shape[:-1], node.shape[-1] + 1))
    with pytest.raises(BundleError, match=f"{node.name} .Linear. has shape"):
        network_from(*network_bytes(integer.replaced([wrong])))
