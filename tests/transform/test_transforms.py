# SPDX-License-Identifier: Apache-2.0
"""What every pass owes its reader: an equation or sentence, and the five headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snncc.conversion.recipe import BY_NAME
from snncc.transform import passes
from snncc.transform.base import Fidelity, Transform
from snncc.transform.passes import TRANSFORMS

SOURCE = re.compile(r"(doi:10\.\d{4,9}/\S+|arXiv:\d{4}\.\d{4,5}|https://\S+\.\S+)(,| |;|$)")
HEADINGS = ("Shapes", "Guarantee", "Refuses", "Source")


def sections(doc: str) -> dict[str, str]:
    """Heading -> text, for lines like `Shapes     weight: (out, in)` and what is indented below them."""
    found: dict[str, str] = {}
    current = ""
    for line in doc.splitlines():
        if match := re.match(r"([A-Z][a-z]+) {2,}(\S.*)", line):
            current = match[1]
            found[current] = match[2]
        elif line.startswith("  ") and current:
            found[current] += " " + line.strip()
        else:
            current = ""
    return found


@pytest.mark.parametrize("step", TRANSFORMS, ids=lambda t: t.name)
def test_docstring(step: Transform) -> None:
    first, *rest = step.doc.split("\n\n")
    assert first.endswith((".", ".\n"))
    body = "\n\n".join(rest)
    assert re.search(r"^ {4}.*\S", body, re.MULTILINE) or len(body.split(".")) > 1, "an equation or a sentence"
    found = sections(step.doc)
    for heading in HEADINGS:
        assert found.get(heading), f"{step.name}: no section {heading}"
    assert SOURCE.search(found["Source"]), f"{step.name}: source {found['Source']!r}"
    options = step.options.__struct_fields__
    assert bool(options) == ("Options" in found)
    for option in options:
        assert re.search(rf"\b{option}\b", step.doc), f"{step.name}: option {option} is not explained"


@pytest.mark.parametrize(
    "text",
    ["doi:10.3389/fnins.2017.00682", "x, arXiv:2202.01440", "https://github.com/a/b (code)", "arXiv:1502.03167; y"],
)
def test_sources_that_parse(text: str) -> None:
    assert SOURCE.search(text)


@pytest.mark.parametrize("text", ["Wang et al. 2024", "doi:tenslash", "arXiv:12", "http//x", "doi:10.3389"])
def test_sources_that_do_not(text: str) -> None:
    assert not SOURCE.search(text)


def test_names_are_unique_and_needs_can_be_met() -> None:
    assert len({t.name for t in TRANSFORMS}) == len(TRANSFORMS)
    given: set[str] = set()
    for step in TRANSFORMS:  # the tuple is an order in which all of them can run
        assert step.needs <= given, f"{step.name} stands before what gives {step.needs - given}"
        assert step.name == step.function.__name__
        given |= step.gives


@pytest.mark.parametrize(
    ("name", "fidelity", "needs", "gives"),
    [
        ("shift_clips", Fidelity.EXACT, set(), {"clips"}),
        ("rewrite_max_pooling", Fidelity.EXACT, set(), {"pooling"}),
        ("rewrite_functions", Fidelity.EXACT, {"pooling"}, {"functions"}),
        ("select_neuron", Fidelity.EMPIRICAL, {"pooling", "functions"}, {"neurons"}),
        ("balance_thresholds", Fidelity.EMPIRICAL, {"neurons"}, {"thresholds"}),
        ("initialize_membrane", Fidelity.EMPIRICAL, {"thresholds"}, {"membrane"}),
    ],
)
def test_contracts(name: str, fidelity: Fidelity, needs: set[str], gives: set[str]) -> None:
    step = BY_NAME[name]
    assert (step.fidelity, step.needs, step.gives) == (fidelity, needs, gives)


def test_each_pass_has_a_file_and_a_test_of_its_name() -> None:
    names = {t.name for t in TRANSFORMS}
    folder = Path(passes.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == names
    tests = {path.stem for path in (Path(__file__).parent / "passes").glob("test_*.py")}
    assert tests == {f"test_{name}" for name in names}
