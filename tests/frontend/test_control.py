# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser
from three_ways import draw, prepared, same_three_ways

from snncc.frontend.normal import control


def parsed(text: str, opset: int = 17) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')


LOOP = """
m (float[N, 4] x) => (float[N, 4] y, float[K, N, 4] all)
<int64 trips = {{{trips}}}, bool cond = {{{cond}}}, float[1] half = {{0.5}},
 float[4, 4] w = {{1,0,2,0,0,0.5,0,1,0.1,0.2,0.3,0.4,0,0,1,-1}}> {{
  y, all = Loop (trips, cond, x) <
  body = body (int64 i, bool c, float[N, 4] h) => (bool go, float[N, 4] h2, float[N, 4] s) {{
    go = Identity (c)
    f = Cast <to = 1> (i)
    p = MatMul (h, w)
    q = Add (p, f)
    h2 = Mul (q, half)
    s = Relu (h2)
  }}>
}}
"""
X = {"x": draw(3, 4)}


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_loop_with_a_constant_count(opset: int) -> None:
    network = same_three_ways(parsed(LOOP.format(trips=3, cond=1), opset), X)
    assert network.outputs == ("y", "all")
    assert {"y.0.h2", "y.2.s"} <= {n.name for n in network.nodes}


def test_loop_that_does_not_begin() -> None:
    text = LOOP.format(trips=3, cond=0).replace(", float[K, N, 4] all", "").replace("y, all = ", "y = ")
    text = text.replace(", float[N, 4] s)", ")").replace("s = Relu (h2)", "")
    same_three_ways(parsed(text), X)


def test_loop_without_bound_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "UNROLL_LIMIT", 5)
    _, lowered = prepared(parsed(LOOP.format(trips=3, cond=1)))
    assert lowered.network is None or all("y.0." not in n.name for n in lowered.network.nodes)


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("axis", [1, 2])
def test_scan(axis: int, direction: int) -> None:
    feature = 3 if axis == 1 else 5
    text = f"""
    m (float[N, 5, 3] x, float[N, {feature}] h0) => (float[N, {feature}] h, y)
    {{
      h, y = Scan <num_scan_inputs = 1, scan_input_axes = [{axis}], scan_output_axes = [{axis}],
        scan_input_directions = [{direction}], scan_output_directions = [{direction}],
        body = body (float[N, {feature}] s, float[N, {feature}] v) => (float[N, {feature}] t, float[N, {feature}] o) {{
          a = Add (s, v)
          t = Tanh (a)
          o = Sub (t, v)
        }}> (h0, x)
    }}
    """
    source = parsed(text.replace(", y)", ", float[N, 5, 3] y)"))
    same_three_ways(source, {"x": draw(3, 5, 3), "h0": draw(3, feature)})


IF = """
m (float[N, 4] x{more}) => (float[N, 4] y) <float zero = {{0}}, bool yes = {{1}}> {{
  {before}
  y = If ({condition}) <
    then_branch = t () => (float[N, 4] a) {{ b = Relu (x) a = Exp (b) }},
    else_branch = e () => (float[N, 4] a) {{ b = Neg (x) a = {last} }}>
}}
"""


def test_constant_condition_leaves_one_branch() -> None:
    network = same_three_ways(parsed(IF.format(more="", before="", condition="yes", last="Tanh (b)")), X)
    assert not any("Where" in n.name or "chosen" in n.name for n in network.nodes)


def test_static_condition() -> None:
    text = IF.format(more=", bool c", before="", condition="c", last="Tanh (b)")
    for truth in (True, False):
        same_three_ways(parsed(text), {**X, "c": np.array(truth)})


def test_varying_condition() -> None:
    before = "s = ReduceSum <keepdims = 0> (x) c = Greater (s, zero)"
    same_three_ways(parsed(IF.format(more="", before=before, condition="c", last="Tanh (b)")), X, one_at_a_time=True)


def test_branches_of_different_shape_are_not_merged() -> None:
    text = IF.format(more=", bool c", before="", condition="c", last="Concat <axis = 1> (b, b)")
    text = text.replace("=> (float[N, 4] a) { b = Neg", "=> (float[N, 8] a) { b = Neg").replace(
        "(float[N, 4] y)", "(float[N, K] y)"
    )
    _, lowered = prepared(parsed(text))
    assert lowered.network is None
    assert lowered.problems[0].operator == "If"
