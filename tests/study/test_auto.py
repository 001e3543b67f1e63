# SPDX-License-Identifier: Apache-2.0
"""`--method auto`: what it tries, what it chooses, and what it says when nothing will do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from small_models import dataset, normal, parsed
from snncc import api
from snncc.conversion.request import Target
from snncc.errors import DataError, FidelityError, UsageError
from snncc.ir.nodes import CentredIF
from snncc.reports.document import Report
from snncc.reports.trials import Trial
from snncc.study.search import ladder, on_front, split

NET = "g (float[N,8] x) => (float[N,4] y) { a = Gemm(x, w1, b1) h = Relu(a) y = Gemm(h, w2, b2) }"


def case() -> tuple[object, object]:
    model = parsed(NET, w1=normal(1, 8, 24), b1=normal(2, 24), w2=normal(3, 24, 4), b2=normal(4, 4))
    return model, dataset(x=normal(5, 160, 8))


def trials(target: Target | None, **options: object) -> tuple[Report, tuple[Trial, ...]]:
    model, data = case()
    made = api.convert(model, method="auto", target=target, calib=data, write=False, **options)  # type: ignore[arg-type]
    report = msgspec.json.decode(made.files["report.json"], type=Report)
    assert report.search is not None
    chosen = [t for t in report.search.trials if t.chosen]
    assert len(chosen) == 1
    assert (made.manifest.timesteps, made.manifest.method) == (chosen[0].timesteps, chosen[0].method)
    return report, report.search.trials


def test_the_cheapest_that_meets_the_target_is_chosen() -> None:
    report, found = trials(Target(max_drop=10.0), timesteps=8)
    good = [t for t in found if t.drop <= 10 and t.timesteps <= 8]
    chosen = next(t for t in found if t.chosen)
    assert chosen.synaptic_operations == min(t.synaptic_operations for t in good)
    assert {t.levels for t in found} >= {1, 2, 4}
    assert {t.granularity for t in found} == {"neuron", "channel"}
    assert {t.method for t in found} == {"matched", "dnisnm"}
    assert report.search is not None
    assert report.search.samples == 40
    assert b"What was tried" in api.make.report_files(report)["report.html"]


def test_a_latency_alone_asks_for_the_most_accurate() -> None:
    _, found = trials(None, timesteps=2)
    assert max(t.timesteps for t in found) == 2
    chosen = next(t for t in found if t.chosen)
    assert chosen.drop == min(t.drop for t in found)


def test_the_front_has_what_nothing_beats() -> None:
    _, found = trials(Target(max_drop=20.0), timesteps=4, granularity="channel")
    assert {t.granularity for t in found} == {"channel"}
    for one in found:
        beaten = any(
            (o.value > one.value and o.synaptic_operations <= one.synaptic_operations)
            or (o.value >= one.value and o.synaptic_operations < one.synaptic_operations)
            for o in found
        )
        assert one.front == (not beaten) == on_front(one, found)


def test_what_cannot_be_met_names_the_nearest(tmp_path: Path) -> None:
    model, data = case()
    with pytest.raises(
        FidelityError, match=r"no network meets .*at most 1 synaptic operations; the nearest is matched"
    ):
        api.convert(
            model,  # type: ignore[arg-type]
            method="auto",
            target=Target(max_drop=1.0, operations=1.0),
            calib=data,  # type: ignore[arg-type]
            out=tmp_path / "x.snn",
        )
    assert not (tmp_path / "x.snn").exists()


def test_too_few_samples_and_other_options_are_refused() -> None:
    model, data = case()
    with pytest.raises(DataError, match="15 are too few"):
        api.convert(model, method="auto", calib=data.head(15), write=False)  # type: ignore[arg-type, attr-defined]
    with pytest.raises(UsageError):
        api.convert(model, method="matched", target=Target(max_drop=1.0), calib=data, write=False)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        api.convert(model, method="auto", levels=2, calib=data, write=False)  # type: ignore[arg-type]


def test_held_back_samples_are_not_calibrated_on() -> None:
    data = dataset(x=np.arange(100, dtype=np.float32).reshape(100, 1))
    fitted, held = split(data, seed=3)
    both = [set(part.inputs["x"].ravel().tolist()) for part in (fitted, held)]
    assert (len(both[0]), len(both[1])) == (75, 25)
    assert not both[0] & both[1]


def test_the_ladder_ends_at_the_longest_t() -> None:
    assert ladder(6) == (1, 2, 4, 6)
    assert ladder(8) == (1, 2, 4, 8)
    assert ladder(None)[-1] == 64


def test_a_target_of_whole_spikes_is_searched_without_centres() -> None:
    model, data = case()
    made = api.convert(
        model,  # type: ignore[arg-type]
        method="auto",
        target=Target(max_drop=30.0),
        timesteps=4,
        calib=data,  # type: ignore[arg-type]
        emit="integer",
        write=False,
    )
    assert "integer/snn_model.c" in made.files
    assert not any(isinstance(node, CentredIF) for node in made.network.nodes)
