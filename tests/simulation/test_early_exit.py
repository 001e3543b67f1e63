# SPDX-License-Identifier: Apache-2.0
"""Early exit: the rule, what is refused, and `simulate --early-exit` on the example that ships."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from snncc import api
from snncc.cli.commands import cli
from snncc.conversion.certify import Certificate
from snncc.data.dataset import Dataset, Preprocessing
from snncc.errors import UsageError
from snncc.ir.analog_tail import AnalogTail
from snncc.ir.network import Network
from snncc.ir.nodes import AdaptiveIF, Differential, Encoder, Input, Linear, MsatIF, Node, Operator
from snncc.ir.schedule import Schedule
from snncc.simulation.early_exit import Margin, margin_rule

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"
CERTIFICATE = Certificate(settled=4, steps=8, neurons=1, samples=1, mismatches=0, moved=0, first=None)


def network(last: Node | None = None, outputs: int = 3, middle: Node | None = None) -> Network:
    """input (1, 4) -> middle -> linear `y` (1, outputs) -> last."""
    nodes: list[Node] = [Input(name="x", shape=(1, 4), batch=0)]
    if middle is not None:
        nodes.append(middle)
    nodes.append(Linear(name="y", inputs=(nodes[-1].name,), shape=(1, outputs), batch=0, weight="w", axis=1))
    nodes += [] if last is None else [last]
    arrays = {"w": np.ones((outputs, 4)), "th": np.ones(())}
    return Network(nodes=tuple(nodes), outputs=(nodes[-1].name,), arrays=arrays, stage="snn")


def data(labels: list[int] | None = None) -> Dataset:
    given = None if labels is None else np.array(labels)
    return Dataset(
        inputs={"x": np.zeros((2, 4))},
        labels=given,
        source="some.npz",
        preprocessing=Preprocessing(),
        continuous=frozenset({"x"}),
    )


def function(op: str, shape: tuple[int, ...] = (1, 3), dtype: str = "float32") -> Node:
    common: dict[str, Any] = {"name": "f", "inputs": ("y",), "shape": shape, "batch": 0, "dtype": dtype}
    options = {"attributes": {"axes": (1,)}} if op == "softmax" else {}
    inner = Operator(op=op, **common, **options)
    return Differential(function=inner, low=(None,), high=(None,), nonzero=(0.0,), **common)


NEURON: dict[str, Any] = {
    "name": "n", "inputs": ("x",), "shape": (1, 4), "batch": 0, "threshold": "th", "amplitude": "th", "v_init": "th",
}  # fmt: skip
UNSURE = MsatIF(**NEURON, alpha=1, k_a=1, k_i=1, c=1, tau_mp=1, tau_rd=1, confidence=0.5)


def ruled(net: Network, given: Dataset | None = None, margin: float = 0.5, **options: Any) -> Margin:
    options = {"timesteps": 8, "certificate": None, **options}
    return margin_rule(net, given or data(), margin=margin, **options)


@pytest.mark.parametrize("schedule", [Schedule(), Schedule(kind="window", steps=3)], ids=lambda s: s.kind)
@pytest.mark.parametrize("probabilities", [False, True])
def test_the_lead_is_that_of_the_softmax_of_what_was_gathered(schedule: Schedule, probabilities: bool) -> None:
    """Against the definition, entry by entry; a softmax at the end changes nothing."""
    net = replace(network(function("softmax") if probabilities else None), schedule=schedule)
    scores = np.random.default_rng(1).normal(0, 3, (40, 3))
    powers = np.exp(scores)
    given = powers / powers.sum(1, keepdims=True) if probabilities else scores
    seen = set()
    for margin in (0.1, 0.5, 0.9):
        rule = ruled(net, margin=margin)
        for t in range(1, 9):
            part = min(t, schedule.limit or t) / (schedule.limit or 8)
            for row, decided in zip(scores, rule.decided(given, t).tolist(), strict=True):
                p = sorted(math.exp(part * z) for z in row)
                assert decided == (t == 8 or (p[2] - p[1]) / sum(p) >= margin)
                seen.add((t == 8, decided))
    assert seen == {(False, False), (False, True), (True, True)}


def test_far_scores_do_not_overflow_and_no_margin_is_out_of_reach_but_those_above_one() -> None:
    far = np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
    assert ruled(network(), margin=1).decided(far, 4).tolist() == [True, False]
    assert ruled(network(), margin=math.inf).decided(far, 7).tolist() == [False, False]
    assert ruled(network(), margin=0).decided(far, 1).tolist() == [True, True]
    certain = ruled(network(function("softmax")), margin=0.5).decided(np.array([[1.0, 0.0, 0.0]]), 1)
    assert certain.tolist() == [True]


@pytest.mark.parametrize(
    ("net", "given", "options", "message"),
    [
        (network(), data(), {"margin": -0.1}, "--early-exit -0.1 is no margin"),
        (network(), data(), {"margin": math.nan}, "is no margin"),
        (network(outputs=1), data(), {}, r"output y \(float32 1x1\) holds no scores of classes"),
        (network(function("softmax", (3, 3))), data(), {}, r"output f \(float32 3x3\)"),
        (network(function("arg_max", (1, 3), "int64")), data(), {}, r"output f \(int64 1x3\)"),
        (network(outputs=4), data(), {}, "y has the size of the input x"),
        (network(), data([0, 3]), {}, "labels of some.npz are no classes of the output y"),
        (network(function("sigmoid")), data(), {}, "output f is a sigmoid"),
        (replace(network(function("softmax")), outputs=("y", "f")), data(), {}, "2 outputs"),
        (replace(network(), schedule=Schedule(readout_after=2)), data(), {}, "read from step 3 on only"),
        (network(), data(), {"certificate": CERTIFICATE}, "certificate holds for settled spikes"),
        (network(middle=AdaptiveIF(**NEURON, scope="batch")), data(), {}, "n adapts to the batch"),
        (network(middle=UNSURE), data(), {}, "n draws random numbers"),
        (
            network(middle=Encoder(name="e", inputs=("x",), shape=(1, 4), batch=0, kind="poisson", scale="th")),
            data(),
            {},
            "e draws random numbers",
        ),
    ],
)
def test_what_has_no_early_end_is_refused_by_name(
    net: Network, given: Dataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=f"{message}.* -> "):
        ruled(net, given, **options)


def test_with_labels_there_may_be_as_many_classes_as_inputs() -> None:
    assert ruled(network(outputs=4), data([0, 3])).margin == 0.5


def test_an_analog_tail_is_refused() -> None:
    tail = AnalogTail(model="w", inputs=("y",), outputs=("boxes",), starts=("TopK",), operators=2, weights=0)
    with pytest.raises(UsageError, match=r"analog tail \(TopK and 1 more operators\)"):
        ruled(replace(network(), analog_tail=tail))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("early") / "digits.snn"
    api.convert(DIGITS, method="dnisnm", timesteps=8, granularity="channel", out=path)
    return path


@pytest.mark.parametrize("engine", ["torch", "native", "native-integer"])
def test_samples_end_when_they_are_decided(bundle: Path, engine: Any) -> None:
    """Fewer steps and operations at a lower margin; a margin that none reaches is the run of all steps."""
    plain = api.simulate(bundle, engine=engine)
    runs = [api.simulate(bundle, engine=engine, early_exit=margin) for margin in (0.5, 0.9, math.inf)]
    found = [run.early_exit for run in runs if run.early_exit is not None]
    assert [msgspec.structs.replace(run, early_exit=None) for run in runs] == [plain] * 3
    assert 1 < found[0].mean_steps < found[1].mean_steps < found[2].mean_steps == 8
    costs = [early.synaptic_operations for early in found]
    assert costs[0] < costs[1] < 0.7 * costs[2]
    for early in found:
        assert sum(early.exit_steps.values()) == plain.samples
        mean = sum(int(t) * n for t, n in early.exit_steps.items()) / plain.samples
        assert early.mean_steps == pytest.approx(mean)
    assert found[1].changed < 0.05
    assert (found[2].margin, found[2].exit_steps, found[2].changed) == (None, {"8": plain.samples}, 0)
    assert (found[2].accuracy, found[2].agreement) == (plain.accuracy["8"], plain.agreement["8"])
    assert costs[2] == pytest.approx(plain.synaptic_operations, rel=1e-12 if engine != "torch" else 1e-3)


def test_the_size_of_batches_does_not_matter(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole numbers: floats may be rounded otherwise in another batch."""
    whole = api.simulate(bundle, engine="integer", early_exit=0.8).early_exit
    assert whole is not None
    monkeypatch.setattr(api, "plan", lambda *_: (7, 3))
    assert api.simulate(bundle, engine="integer", early_exit=0.8).early_exit == whole


def test_other_engines_say_that_they_cannot(bundle: Path) -> None:
    with pytest.raises(UsageError, match="this engine computes all samples to the end"):
        api.simulate(bundle, engine="onnx", early_exit=0.9)


def test_the_command_shows_it_and_keeps_a_report(bundle: Path) -> None:
    arguments = ["simulate", str(bundle), "--engine", "native", "--early-exit", "0.9"]
    shown = CliRunner().invoke(cli, arguments, env={"COLUMNS": "80"}, catch_exceptions=False).stdout
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False).stdout)["early_exit"]
    assert max(map(len, shown.splitlines())) <= 80
    assert f"{found['mean_steps']:.2f} of 8 steps on average" in " ".join(shown.split())
    newest = max((bundle / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    assert json.loads((newest / "report.json").read_text())["simulation"]["early_exit"] == found
    page = (newest / "report.html").read_text()
    assert "<h2>Early exit</h2>" in page
    assert page.count('data-chart="early-exit"') == 1
    assert [f">{n}<" in page for n in found["exit_steps"].values()] == [True] * len(found["exit_steps"])


def test_a_page_without_early_exit_does_not_speak_of_it(bundle: Path) -> None:
    assert "Early exit" not in (bundle / "report.html").read_text()
