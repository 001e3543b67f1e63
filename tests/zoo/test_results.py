# SPDX-License-Identifier: Apache-2.0
"""Gates and pages."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree as ET

import pytest

from snncc.zoo.pages import csv_table, index_page, junit
from snncc.zoo.plan import Gates
from snncc.zoo.results import Failure, ModelEntry, Result, Summary, verdicts

GOOD = Result(
    name="good",
    model="good.onnx",
    method="rate",
    status="converted",
    timesteps=8,
    metric="accuracy",
    ann=0.95,
    value=0.94,
    drop=0.95 - 0.94,
    within_one_point=6,
    bundle="good.snn",
)
EVIL = "<script>alert(1)</script>\x1b[31m\x00"
BAD = Result(
    name="bad", model="bad.onnx", method="rate", status="failed", failure=Failure(kind="UnreadableModel", message=EVIL)
)


@pytest.mark.parametrize(
    ("gates", "passed"),
    [
        (Gates(max_drop=0.01), True),
        (Gates(max_drop=0.009), False),
        (Gates(min_accuracy=0.94), True),
        (Gates(min_accuracy=0.941), False),
        (Gates(max_t=6), True),
        (Gates(max_t=5), False),
    ],
)
def test_gates(gates: Gates, passed: bool) -> None:
    assert [v.passed for v in verdicts(GOOD, gates, allow_failures=False)] == [True, passed]
    assert [v.passed for v in verdicts(BAD, gates, allow_failures=True)] == [False]


def test_accuracy_without_labels_does_not_pass() -> None:
    unlabelled = Result(
        name="u", model="u.onnx", method="rate", status="converted", metric="agreement", ann=1.0, value=1.0, drop=0.0
    )
    (found,) = verdicts(unlabelled, Gates(min_accuracy=0.1), allow_failures=True)
    assert (found.passed, found.reason) == (False, "no labels to measure accuracy on")


def test_pages_say_the_same_and_let_nothing_through() -> None:
    gates = Gates(max_drop=0.001)
    entries = tuple(ModelEntry(result=r, gates=verdicts(r, gates, allow_failures=False)) for r in (GOOD, BAD))
    found = Summary(version="1", models=2, converted=1, failed=1, gates_failed=3, passed=False, entries=entries)
    suite = ET.fromstring(junit(found))[0]
    assert {k: suite.get(k) for k in ("tests", "errors", "failures")} == {"tests": "2", "errors": "1", "failures": "2"}
    assert [[child.tag for child in case] for case in suite] == [["failure"], ["error", "failure"]]
    rows = list(csv.DictReader(io.StringIO(csv_table(found).decode())))
    assert [(r["name"], r["status"], r["value"]) for r in rows] == [
        ("good", "converted", "0.94"),
        ("bad", "failed", ""),
    ]
    page = index_page(found).decode()
    assert 'href="good.snn/report.html"' in page
    assert "bad.snn" not in page
    assert "<script>alert" not in page
    assert "\x1b" not in page
