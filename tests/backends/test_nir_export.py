# SPDX-License-Identifier: Apache-2.0
"""`--emit nir` on the two digits examples: refused with all reasons, or lowered by name, measured and reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from snncc import api
from snncc.backends.nir.interpreter import NirMachine, read
from snncc.backends.nir.lowering import applied
from snncc.bundles.bundle import open_bundle
from snncc.cli.commands import cli
from snncc.errors import EmitError
from snncc.execute import reference
from snncc.ir.nodes import IF
from snncc.reports.document import report_of
from snncc.transform.passes.absorb_amplitudes import with_unit_spikes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STRIDED, POOLED = EXAMPLES / "nir" / "digits_nir.onnx", EXAMPLES / "digits" / "digits.onnx"
NAMED = ["--allow", "hard-reset", "--allow", "strict-threshold"]
T = 8


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nir") / "digits_nir.snn"
    words = ["convert", str(STRIDED), "--method", "rate", "--timesteps", str(T), "--emit", "nir", "-o", str(folder)]
    result = CliRunner().invoke(cli, [*words, *NAMED], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "one threshold per channel" in result.output
    return folder


def test_the_report_says_what_changed(bundle: Path) -> None:
    """Counted again: the converted network in float32 NumPy against the file by NIR's rules."""
    report = json.loads((bundle / "nir/report.json").read_bytes())
    assert [effect["change"] for effect in report["effects"]] == ["hard-reset", "strict-threshold"]
    samples = report["samples"]
    opened = open_bundle(bundle)
    with np.load(STRIDED.with_suffix(".npz")) as archive:
        feeds = {"image": archive["x"][:samples]}
    names = {value: name for name, value in report["nodes"].items()}
    machine = NirMachine(read((bundle / "nir/network.nir").read_bytes()), feeds)
    unit = with_unit_spikes(opened.network)
    changed, before, after, hard = 0, 0, 0, 0
    lowered = reference.run(applied(unit, "hard-reset"), feeds, T, np.float32)
    for step, middle in zip(reference.run(unit, feeds, T, np.float32), lowered, strict=True):
        found = machine.step()
        for node in unit.nodes:
            if isinstance(node, IF):
                z = found[names[node.name]]
                changed += int((step[node.name] != z).sum())
                before, after = before + int(step[node.name].sum()), after + int(z.sum())
                hard += int((step[node.name] != middle[node.name]).sum())
    total = report["total"]
    assert total["spikes_before"] == pytest.approx(before, rel=1e-4)
    assert (total["spikes_after"], total["changed"]) == pytest.approx((after, changed), rel=1e-4)
    assert report["effects"][0]["changed"] == pytest.approx(hard, rel=1e-4)
    assert total["changed"] > 0
    assert 0 < total["agreement"] <= 1


def test_the_report_of_the_bundle_lists_the_lowerings(bundle: Path) -> None:
    report, manifest = report_of(open_bundle(bundle)), open_bundle(bundle).manifest
    lines = [line for line in report.notes if line.by == "emit nir"]
    assert [line.text.split(":")[0] for line in lines] == ["nir, hard-reset", "nir, strict-threshold", "nir, all"]
    assert all("choose the same" in line.text for line in lines)
    assert "nir, hard-reset" in (bundle / "report.html").read_text(encoding="utf-8")
    assert {"nir/network.nir", "nir/report.json"} <= manifest.files.keys()


def test_emit_does_what_convert_does(bundle: Path, tmp_path: Path) -> None:
    plain = api.convert(STRIDED, method="rate", granularity="channel", timesteps=T, out=tmp_path / "d.snn").path
    assert plain is not None
    before = {p.name: p.read_bytes() for p in plain.iterdir() if p.is_file()}
    refused = CliRunner().invoke(cli, ["emit", str(plain), "--to", "nir"])
    assert isinstance(refused.exception, EmitError)
    assert {p.name: p.read_bytes() for p in plain.iterdir() if p.is_file()} == before
    result = CliRunner().invoke(cli, ["emit", str(plain), "--to", "nir", *NAMED], catch_exceptions=False)
    assert result.exit_code == 0
    for name in ("nir/network.nir", "nir/report.json", "report.json", "manifest.json"):
        assert (plain / name).read_bytes() == (bundle / name).read_bytes(), name


def test_unit_thresholds(bundle: Path) -> None:
    made = api.convert(
        STRIDED,
        method="rate",
        timesteps=T,
        emit="nir",
        emit_options=api.EmitOptions(allow=("hard-reset", "strict-threshold"), unit_thresholds=True),
        write=False,
    )
    report, other = (
        json.loads(data) for data in (made.files["nir/report.json"], (bundle / "nir/report.json").read_bytes())
    )
    assert [effect["change"] for effect in report["effects"]] == ["hard-reset", "unit-thresholds", "strict-threshold"]
    assert report["total"]["spikes_after"] == pytest.approx(other["total"]["spikes_after"], rel=1e-4)
    graph = read(made.files["nir/network.nir"])
    neurons = [node for node in graph.nodes.values() if type(node).__name__ == "IF"]
    assert len(neurons) == 3
    assert all((node.v_threshold == 1).all() for node in neurons)


def test_the_pooled_digits_are_refused_with_all_reasons() -> None:
    with pytest.raises(EmitError, match="for 5 reasons") as refused:
        api.convert(POOLED, method="dnisnm", emit="nir", write=False)
    text = str(refused.value)
    assert "NIR has no MaxPool: /pool/MaxPool_output_0, /pool_1/MaxPool_output_0" in text
    for lowering in ("unsigned", "zero-start", "hard-reset", "strict-threshold"):
        assert f"(--allow {lowering}): /relu/Relu_output_0, /relu_1/Relu_output_0" in text


@pytest.mark.data
def test_an_autoencoder_of_others(data_folder: Path) -> None:
    """Products, thresholds per neuron and constants behind weights; no class, so its largest entry is compared."""
    model = data_folder / "models" / "mlperf-tiny__ad_autoencoder.onnx"
    allow = ("hard-reset", "strict-threshold")
    options = api.EmitOptions(allow=allow)
    made = api.convert(
        model, method="rate", granularity="neuron", timesteps=4, emit="nir", emit_options=options, write=False
    )
    graph = read(made.files["nir/network.nir"])
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    assert sorted(set(kinds)) == ["Affine", "IF", "Input", "Output"]
    assert kinds.count("IF") == kinds.count("Affine") - 1
    report = json.loads(made.files["nir/report.json"])
    assert report["samples"] == 64
    assert report["total"]["spikes_after"] > 0
