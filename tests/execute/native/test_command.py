# SPDX-License-Identifier: Apache-2.0
"""`snncc simulate --engine native --profile` on the example that ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from snncc import api
from snncc.cli.commands import cli
from snncc.errors import UsageError

DIGITS = Path(__file__).resolve().parents[3] / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("native") / "digits.snn"
    api.convert(DIGITS, method="dnisnm", timesteps=4, granularity="channel", out=path)
    return path


def test_native_and_torch_measure_the_same(bundle: Path) -> None:
    arguments = ["simulate", str(bundle), "--engine", "native", "--profile", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    found = json.loads(result.stdout)
    expected = api.simulate(bundle)
    assert found["engine"] == "native"
    assert found["accuracy"] == expected.accuracy
    assert found["synaptic_operations"] == expected.synaptic_operations
    layers = {cost["layer"]: cost for cost in found["profile"]}
    assert any("scattered " in cost["kernel"] and 0 < cost["density"] < 1 for cost in layers.values())
    assert all(cost["seconds"] > 0 and cost["rate"] >= 0 and cost["share"] >= 0 for cost in layers.values())


def test_the_table_is_shown(bundle: Path) -> None:
    result = CliRunner().invoke(cli, ["simulate", str(bundle), "--engine", "native", "--profile"])
    assert result.exit_code == 0
    assert "Cost by layer" in result.stdout


def test_what_does_not_fit_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="--profile measures the native engine"):
        api.simulate(bundle, profile=True)
    with pytest.raises(UsageError, match="runs on the CPU"):
        api.simulate(bundle, engine="native", device="cuda")


def test_integers(bundle: Path) -> None:
    """The integer network in C gives what the integer executor gives."""
    expected = api.simulate(bundle, engine="integer")
    found = api.simulate(bundle, engine="native-integer")
    assert (found.accuracy, found.firing_rate) == (expected.accuracy, expected.firing_rate)
