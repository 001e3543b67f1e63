# SPDX-License-Identifier: Apache-2.0
"""No pass approximates in silence: each approximation has its line in report.json, with the pass that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from small_models import dataset, normal, parsed
from snncc import api
from snncc.conversion.recipe import load_method, methods
from snncc.transform.passes import TRANSFORMS

PLAIN = """g (float[N,2,6,6] x) => (float[] y) {
    c = Conv<pads=[1,1,1,1]>(x, w)  r = Relu(c)  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
    f = Flatten(p)  h = Gemm(f, v)  q = Relu(h)  y = Gemm(q, z)
}"""
FUNCTIONS = PLAIN.replace("f = Flatten(p)", "s = Sign(p)  a = Softmax(s)  l = Tanh(p)  e = Mul(a, l)  f = Flatten(e)")
MASKED = PLAIN.replace("f = Flatten(p)", "k = Add(p, hide)  a = Softmax(k)  f = Flatten(a)")
FOREIGN = PLAIN.replace("f = Flatten(p)", "d = RoiAlign<output_height=3, output_width=3>(p, box, i)  f = Flatten(d)")
ARRAYS: dict[str, Any] = {
    "w": normal(1, 3, 2, 3, 3) / 3, "v": normal(2, 27, 6), "z": normal(3, 6, 4),
    "hide": np.array([0, -np.inf, 0], np.float32), "box": np.array([[0, 0, 2, 2]], np.float32), "i": np.array([0]),
}  # fmt: skip
DEAD = np.where(np.arange(6) == 2, -9, np.abs(ARRAYS["v"])).astype(np.float32)
START = ("fold_batchnorm", "shift_clips", "rewrite_max_pooling", "rewrite_functions")
BALANCE: dict[str, Any] = {"reduce": "max"}

Passes = list[tuple[str, dict[str, Any]]]
BEFORE: Passes = [(name, {}) for name in START]
NEURONS: Passes = [*BEFORE, ("select_neuron", {"kind": "if"})]
THRESHOLDS: Passes = [*NEURONS, ("balance_thresholds", BALANCE)]
AVERAGE: Passes = [(n, {"to": "average"} if n == "rewrite_max_pooling" else o) for n, o in THRESHOLDS]

#: What is approximated: model, its weights, passes, and the line: kind, node, a word of the text, the pass.
LINES: dict[str, tuple[str, dict[str, Any], Passes, tuple[str, str, str, str]]] = {
    "pooling": (PLAIN, {}, AVERAGE, ("approximation", "p", "average", "rewrite_max_pooling")),
    "function": (FUNCTIONS, {}, THRESHOLDS, ("analog", "e", "multiply", "rewrite_functions")),
    "discontinuous": (FUNCTIONS, {}, THRESHOLDS, ("information", "s", "agreement", "rewrite_functions")),
    "mask": (MASKED, {}, THRESHOLDS, ("information", "k", "infinities", "rewrite_functions")),
    "foreign": (FOREIGN, {}, THRESHOLDS, ("analog", "d", "RoiAlign", "rewrite_functions")),
    "saturation": (
        PLAIN, {}, [*NEURONS, ("balance_thresholds", {"percentile": 95.0})],
        ("approximation", "y", "saturate", "balance_thresholds"),
    ),
    "dead neuron": (
        PLAIN, {"v": DEAD}, [*NEURONS, ("balance_thresholds", {**BALANCE, "granularity": "neuron"})],
        ("information", "q", "never active", "balance_thresholds"),
    ),
    "poisson": (
        PLAIN, {}, [*NEURONS, ("encode_poisson", {}), THRESHOLDS[-1]],
        ("approximation", "x", "poisson", "encode_poisson"),
    ),
    "uniform": (
        PLAIN, {}, [*NEURONS, ("encode_uniform", {"percentile": 99.0}), THRESHOLDS[-1]],
        ("approximation", "x", "above 99 %", "encode_uniform"),
    ),
    "firing outputs": (
        PLAIN, {}, [*NEURONS, ("fire_outputs", {}), THRESHOLDS[-1]], ("approximation", "y", "negative", "fire_outputs"),
    ),
    "events": (
        FUNCTIONS, {}, [*THRESHOLDS, ("spike_functions", {})], ("information", "x", "events", "spike_functions"),
    ),
}  # fmt: skip


def written(folder: Path, passes: Passes) -> Path:
    """A recipe file."""

    def value(x: Any) -> str:
        return json.dumps(x)

    head = 'name = "walk"\nsource = "a test"\nsummary = "A walk."\n'
    entries = [
        f'[[passes]]\nuse = "{name}"\nwith = {{ {", ".join(f"{k} = {value(v)}" for k, v in options.items())} }}\n'
        for name, options in passes
    ]
    (folder / "walk.toml").write_text(head + "\n".join(entries), encoding="utf-8")
    return folder / "walk.toml"


@pytest.mark.parametrize("kind", LINES)
def test_every_approximation_has_its_line(kind: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    text, changed, passes, (note, node, word, by) = LINES[kind]
    arrays = {name: a for name, a in {**ARRAYS, **changed}.items() if f" {name})" in text or f" {name}," in text}
    found = api.convert(
        parsed(text, **arrays),
        recipe=written(tmp_path, passes),
        calib=dataset(x=np.abs(normal(8, 6, 2, 6, 6))),
        write=False,
    )
    lines = json.loads(found.files["report.json"])["notes"]
    assert [x for x in lines if (x["kind"], x["node"], x["by"]) == (note, node, by) and word in x["text"]], lines


#: Passes that are exact, or that choose parameters or neurons, which the list of passes itself tells.
TELLING = frozenset(
    """absorb_amplitudes absorb_batchnorm balance_locally convert_quantized correct_bias delay_readout
    fold_batchnorm initialize_membrane match_currents measure_spike_confidence minimize_threshold_error
    quantize_activations recognize_quantized_activations round_thresholds select_adaptive_neuron
    select_multistage_neuron select_neuron shift_clips""".split()  # noqa: SIM905  # one name per word reads better
)


def test_no_pass_is_forgotten() -> None:
    """A new pass that approximates belongs into LINES; one that does not, into TELLING."""
    walked = {line[3] for _, _, _, line in LINES.values()}
    assert {t.name for t in TRANSFORMS} == walked | TELLING
    assert not walked & TELLING
    assert all(load_method(name).passes for name in methods())
