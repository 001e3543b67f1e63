# SPDX-License-Identifier: Apache-2.0
"""`compare`: what is converted anew, what the table holds, and that every pass says whether it depends on T."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from small_models import dataset, lowered, normal, parsed, ran
from snncc import api
from snncc.cli.commands import cli
from snncc.conversion import recipe
from snncc.data.dataset import Dataset
from snncc.errors import BundleError, RecipeError

GRAPH = "g (float[N, 5] x) => (float[N, 3] y) { a = Gemm(x, w) p = Relu(a) c = Gemm(p, v) q = Relu(c) y = Gemm(q, u) }"


def small() -> tuple[onnx.ModelProto, Dataset]:
    model = parsed(GRAPH, w=normal(1, 5, 9), v=normal(2, 9, 7), u=normal(3, 7, 3))
    return model, dataset(x=normal(4, 64, 5))


@pytest.mark.parametrize("method", sorted(recipe.methods()))
def test_a_method_that_declares_no_dependence_gives_the_same_network_for_every_t(method: str) -> None:
    model, data = small()
    chosen = recipe.load_method(method)
    case, networks = lowered(model, data), []
    for timesteps in (3, 8):
        try:
            outcome = ran(
                case.network,
                recipe.steps(chosen),
                truth=case.truth,
                calibration=data,
                timesteps=timesteps,
                seed=0,
            )
        except RecipeError as error:
            pytest.skip(f"{method} refuses this network: {error.message}")
        networks.append(outcome.network)
    assert networks[0] == networks[1] or recipe.depends_on_timesteps(recipe.steps(chosen))
    if method == "matched":
        assert networks[0] != networks[1]


def test_the_table(tmp_path: Path) -> None:
    model, data = small()
    found = api.compare(
        model, methods=["rate", "matched"], timesteps=[2, 4, 8], calib=data, data=data, out=tmp_path / "c", jobs=2
    ).comparison
    assert [(r.method, r.design, r.prefix) for r in found.runs] == [
        ("rate", 8, False),
        ("matched", 2, True),
        ("matched", 4, True),
        ("matched", 8, True),
    ]
    assert [(e.method, e.timesteps) for e in found.entries] == [(m, t) for m in ("rate", "matched") for t in (2, 4, 8)]
    one = api.convert(model, method="matched", timesteps=4, calib=data, out=tmp_path / "m.snn")
    alone = api.simulate(one.path, data=data)
    entry = next(e for e in found.entries if (e.method, e.timesteps) == ("matched", 4))
    assert entry.value == alone.agreement["4"]
    run = next(r for r in found.runs if (r.method, r.design) == ("matched", 4))
    assert [p.reference for p in run.curve.points] == [alone.reference.agreement[t] for t in ("2", "4")]
    kept = json.loads((tmp_path / "c" / "compare.json").read_bytes())
    assert kept["entries"][0]["value"] == found.entries[0].value
    again = api.compare(model, methods=["rate", "matched"], timesteps=[2, 4, 8], calib=data, data=data, jobs=1)
    assert again.comparison == found
    with pytest.raises(BundleError, match="exists already"):
        api.compare(model, methods=["rate"], timesteps=[2], calib=data, out=tmp_path / "c")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = small()
    onnx.save(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "m.npz", x=data.inputs["x"], y=np.zeros(64, np.int64))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    words = ["compare", "m.onnx", "--methods", "rate,dnisnm", "--timesteps", "2,4", "--quiet"]
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    as_json = json.loads(CliRunner().invoke(cli, [*words, "--json", "--force"]).output)
    assert as_json == json.loads((tmp_path / "m.compare" / "compare.json").read_bytes())
    for entry in as_json["entries"]:
        assert f"{100 * entry['value']:.1f} %" in shown.output
    assert "--timesteps 'x'" in str(CliRunner().invoke(cli, [*words[:4], "--timesteps", "x"]).exception)
