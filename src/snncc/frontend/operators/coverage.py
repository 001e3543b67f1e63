# SPDX-License-Identifier: Apache-2.0
"""What each ONNX operator becomes where it computes with rates: the table behind docs/operators.md.

A value that is the same at every step (indices, masks, shapes, constants) may be computed by any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from snncc.frontend.operators.analog_tail import OF_SEVERAL
from snncc.frontend.operators.foreign import RANDOM
from snncc.frontend.operators.lower import LOWERINGS

Spiking = frozenset(("Abs", "Clip", "GlobalMaxPool", "HardSigmoid", "LeakyRelu", "MaxPool", "PRelu", "Relu"))
# fmt: off
LINEAR = frozenset((
    "Add", "AffineGrid", "AveragePool", "BatchNormalization", "Cast", "CastLike", "CenterCropPad", "Col2Im", "Compress",
    "Concat", "Conv", "ConvInteger", "ConvTranspose", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout",
    "Einsum", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool", "GridSample",
    "Identity", "MatMul", "MatMulInteger", "MaxUnpool", "Mean", "Mul", "Neg", "Pad", "ReduceMean", "ReduceSum",
    "Reshape", "Resize", "ReverseSequence", "RotaryEmbedding", "Scatter", "ScatterElements", "ScatterND", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Sub", "Sum", "Tile", "Transpose", "Trilu", "Unsqueeze", "Upsample", "Where",
))
# fmt: on
#: Linear only while some operands do not vary; these say what else they become.
CONDITIONS = {
    "Cast": "differential to integers, which is discontinuous",
    "CastLike": "differential to integers, which is discontinuous",
    "Conv": "with constant weights; else foreign",
    "ConvTranspose": "with constant weights; else foreign",
    "DequantizeLinear": "behind QuantizeLinear a quantised activation",
    "Div": "by what does not vary; else differential",
    "Einsum": "with one operand that varies; else differential",
    "Gemm": "with constant weights; else differential",
    "GridSample": "where the grid does not vary; else differential",
    "MatMul": "with one operand that varies; else differential",
    "Mul": "with one operand that varies; else differential",
    "Where": "where the condition does not vary; else differential",
    "Clip": "with constant bounds; else differential",
    "PRelu": "with a constant slope; else foreign",
    "LSTM": "its input projections are linear and outside; foreign where its weights vary",
    "GRU": "its input projections are linear and outside; foreign where its weights vary",
    "RNN": "its input projections are linear and outside; foreign where its weights vary",
    "Attention": "made of matrix products and Softmax",
    "HardSwish": "a product with a spiking HardSigmoid",
    "MaxPool": "foreign where its indices are read",
    "RotaryEmbedding": "with constant angles; else foreign",
    "ScatterElements": "differential with a reduction other than addition",
    "ScatterND": "differential with a reduction other than addition",
    "BatchNormalization": "with constant statistics; foreign where they vary, refused in training mode",
}
STATIC = frozenset(
    ("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "EyeLike", "Shape", "Size"),
)
UNROLLED = {
    "Constant": "a constant",
    "ConstantOfShape": "folded into a constant",
    "Range": "folded into a constant",
    "If": "a constant condition takes its branch, else both are computed and one is selected",
    "Loop": "unrolled where the trip count is constant, else foreign",
    "Scan": "unrolled",
}
TAIL = dict.fromkeys(("NonMaxSuppression", "NonZero", "Unique"), "the shape of its result depends on data")
REFUSED = {
    **dict.fromkeys(RANDOM - {"Dropout"}, "its result is random"),
    **dict.fromkeys(
        ("ImageDecoder", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"),
        "it computes with text or bytes",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One operator: the opsets that changed it, its class, and a remark."""

    operator: str
    opsets: tuple[int, ...]
    kind: str
    remark: str


def kind_of(operator: str) -> tuple[str, str]:
    """The class of an operator of the domain ai.onnx, and a condition or reason."""
    if operator in UNROLLED:
        return "static" if operator in ("Constant", "ConstantOfShape", "Range") else "unrolled", UNROLLED[operator]
    if operator in LOWERINGS:
        groups = {"spiking": Spiking, "linear": LINEAR, "static": STATIC}
        found = next((kind for kind, names in groups.items() if operator in names), "differential")
        return found, CONDITIONS.get(operator, "")
    if operator in REFUSED:
        return "refused", REFUSED[operator]
    if operator in TAIL:
        return "tail", TAIL[operator]
    if operator.startswith(OF_SEVERAL):
        return "tail", "it computes with sequences or optional values"
    return "foreign", "evaluated by onnxruntime, where that has it and the shape of its result is fixed"


def coverage() -> list[Coverage]:
    """Every operator of ONNX that is not deprecated from the start, in alphabetical order."""
    opsets: dict[str, list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            opsets.setdefault(schema.name, []).append(schema.since_version)
    rows = []
    for name in sorted(opsets):
        kind, remark = kind_of(name)
        rows.append(Coverage(operator=name, opsets=tuple(sorted(opsets[name])), kind=kind, remark=remark))
    return rows
