# SPDX-License-Identifier: Apache-2.0
"""The page: the same numbers as the JSON and the console, inert names, the same bytes, a bounded size."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from small_reports import HOSTILE, bundle, chain, residual

from small_models import dataset, normal, parsed
from snncc import api
from snncc.bundles.bundle import open_bundle
from snncc.cli.commands import cli
from snncc.reports import tables
from snncc.reports.document import report_of
from snncc.reports.text import loss_split, percent


class Page(HTMLParser):
    """The cells with numbers, the scripts, and every address on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[tuple[float | None, str]] = []
        self.scripts, self.addresses, self.words = 0, list[str](), ""
        self._value: Any = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.scripts += tag == "script"
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "action")]
        if tag == "td" and "data-value" in found:
            self._value = (float(found["data-value"]) if found["data-value"] else None,)

    def handle_data(self, data: str) -> None:
        self.words += data
        if self._value is not None:
            self.cells.append((self._value[0], data))
            self._value = None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("page"), *chain(HOSTILE))


def test_html_json_and_console_show_the_same_numbers(made: Path) -> None:
    report = report_of(open_bundle(made))
    page = Page((made / "report.html").read_text(encoding="utf-8"))
    console = CliRunner().invoke(cli, ["report", str(made)]).output
    as_json = json.loads(CliRunner().invoke(cli, ["report", str(made), "--json"]).output)
    assert as_json == json.loads((made / "report.json").read_bytes())
    assert report.verdict in page.words
    curve, one_line = report.curves[0], " ".join(console.split())
    assert " ".join(report.verdict.split()) in one_line
    assert loss_split(curve)
    assert loss_split(curve) in page.words
    assert loss_split(curve) in one_line
    last = as_json["curves"][0]["points"][-1]
    assert f"{100 * abs(last['quantisation']):.1f} points" in loss_split(curve)
    rows = {line.split()[1]: line for line in reversed(console.splitlines()) if line.startswith("│")}
    for p in curve.points:
        assert f" {percent(p.value)} " in rows[str(p.t)]
        assert f" {percent(p.reference)} " in rows[str(p.t)]
    expected = [tables.steps(report.curves[0]), tables.layers(report.layers), tables.energy(report.energy)]
    expected.append(tables.passes(report.passes))
    cells = [c for table in expected for row in table.rows for c in row if c.numeric]
    assert page.cells == [(c.value, c.shown) for c in cells]
    in_json = [[layer["cumulative"], layer["isolated"], layer["residual"]] for layer in as_json["layers"]]
    columns = [c.name for c in tables.LAYER_COLUMNS]
    at = [columns.index(name) for name in ("cumulative", "isolated", "residual")]
    assert in_json == [[row[i].value for i in at] for row in tables.layers(report.layers).rows]
    for layer in report.layers:
        assert f"{layer.cumulative:.3g}" in console
    for advice in report.advice:
        assert advice.finding.split()[-1] in console


def test_a_script_as_a_name_stays_a_name(made: Path) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert HOSTILE in page.words
    assert HOSTILE not in text
    assert page.scripts == 1
    assert page.addresses == ["data:,"]
    assert "default-src 'none'" in text


def test_the_same_bytes_again(made: Path, tmp_path: Path) -> None:
    again = bundle(tmp_path, *chain(HOSTILE), batch_size=5)
    for name in ("report.json", "report.html", "manifest.json"):
        assert (again / name).read_bytes() == (made / name).read_bytes()
    assert open_bundle(made).verified("report.html")


def test_a_deep_residual_network_fits_into_a_megabyte(tmp_path: Path) -> None:
    """As many layers and points as the page of a ResNet-56 at T=32, with long names and full histograms."""
    model, data = residual(27, prefix="/resnet/stages/residual_blocks/block_with_batch_normalization/")
    made = bundle(tmp_path, model, data, method="dnisnm", timesteps=32, granularity="neuron")
    result = api.report(made, diagnose=True, samples=2)
    report, folder = result.report, result.folder
    assert folder is not None
    assert sum(layer.thresholds is not None for layer in report.layers) == 55
    assert report.attribution is not None
    assert len(report.attribution.layers) == 55
    assert [p.t for p in report.curves[0].points] == [*range(1, 17), 32]
    assert (folder / "report.html").stat().st_size < 1_000_000


def test_the_agreement_of_an_analog_tail_stands_on_the_page(tmp_path: Path) -> None:
    graph = "g (float[N, 4] x) => (int64[] y) { h = MatMul(x, w) r = Relu(h) y = NonZero(r) }"
    data = dataset(x=normal(2, 24, 4))
    made = bundle(tmp_path, parsed(graph, w=normal(1, 4, 6)), data, timesteps=4)
    report = report_of(open_bundle(made))
    found = report.simulation.analog_tail["y"]
    assert found.equal is not None
    assert list(found.equal) == ["1", "2", "3", "4"]
    page = Page((made / "report.html").read_text(encoding="utf-8"))
    console = CliRunner().invoke(cli, ["report", str(made)]).output
    rows = [(float(t), found.shape[t], found.equal[t]) for t in found.shape]
    values = [value for value, _ in page.cells]
    at = 7 * 4  # behind the table of the curve
    assert values[at : at + 12] == [value for row in rows for value in row]
    assert "Analog tail, output y" in console
    assert percent(found.equal["4"]) in console


def test_simulate_keeps_its_report_with_the_layers_of_the_conversion(tmp_path: Path) -> None:
    made = bundle(tmp_path, *chain())
    base = report_of(open_bundle(made))
    result = api.simulate(made, timesteps=16, keep=True)
    api.simulate(made, timesteps=16, keep=True)
    (folder,) = (made / "runs").iterdir()
    kept = json.loads((folder / "report.json").read_bytes())
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "report.json"]
    assert kept["simulation"]["accuracy"] == result.accuracy
    assert kept["simulation"]["reference"]["accuracy"].keys() == result.accuracy.keys()
    assert [p["reference"] for p in kept["curves"][0]["points"]] == list(result.reference.accuracy.values())
    assert [p["t"] for p in kept["curves"][0]["points"]] == [1, 2, 4, 8, 16]
    assert kept["layers"] == json.loads((made / "report.json").read_bytes())["layers"]
    assert kept["measured"]["timesteps"] == base.timesteps == 8
    api.simulate(made, timesteps=4, keep=True)
    assert len(list((made / "runs").iterdir())) == 2


def test_report_measures_anew_when_asked(tmp_path: Path) -> None:
    made = bundle(tmp_path, *chain())
    assert api.report(made).folder == made
    result = api.report(made, timesteps=3, rasters=["r"], diagnose=True, samples=10)
    assert result.folder is not None
    assert result.folder.parent == made / "runs"
    assert result.report.measured.timesteps == 3
    assert [raster.layer for raster in result.report.rasters] == ["r"]
    assert result.report.attribution is not None
    assert result.report.attribution.samples == 10
    answer = CliRunner().invoke(cli, ["report", str(made), "--raster", "nothing"], catch_exceptions=True)
    assert "there is no layer 'nothing'" in str(answer.exception)


def test_layers_are_named_as_the_tables_show_them(tmp_path: Path) -> None:
    made = bundle(tmp_path, *chain("/stage/stage.1/Relu_output_0"))
    console = CliRunner().invoke(cli, ["report", str(made)]).output
    assert "stage.1/Relu " in console
    result = CliRunner().invoke(cli, ["report", str(made), "--raster", "stage.1/Relu", "--json"])
    assert [r["layer"] for r in json.loads(result.stdout)["rasters"]] == ["/stage/stage.1/Relu_output_0"]


def test_the_console_fits_into_eighty_columns_and_is_plain(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output = CliRunner().invoke(cli, ["report", str(made), "--diagnose", "--samples", "16", "--quiet"]).output
    assert max(map(len, output.splitlines())) <= 80
    assert "\x1b" not in output
    assert "simulations" in output
