# SPDX-License-Identifier: Apache-2.0
"""ONNX files come from strangers: they are read here, and nothing of one is used before it was checked.

bytes → `protobuf`: the wire format, before its parser allocates → proto → survey of every node and constant
      → `tensors`: layouts, places of external files → embedded weights → NaN and infinity
"""

from __future__ import annotations

import graphlib
import pathlib
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx
from google.protobuf.message import DecodeError, EncodeError, Message

from snncc.errors import UnreadableModel
from snncc.frontend.files import protobuf, tensors
from snncc.names import safe_name

MAX_BYTES = 2**31 - 1  # of the file and its external data together: protobuf itself stops here
MAX_NODES = 100_000
MAX_SUBGRAPHS = 16

SMALLER = "convert a smaller model"
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"})
PASSIVE = (onnx.ValueInfoProto, onnx.TypeProto, onnx.StringStringEntryProto)  # no constant and no node in them
PICKLE = ("this is a PyTorch checkpoint or another pickle, which is never opened", "export it with torch.onnx.export")
FOREIGN = (  # (offset, magic, what it is, cure)
    *((0, bytes((0x80, protocol)), *PICKLE) for protocol in range(2, 6)),
    (
        0,
        b"PK\x03\x04",
        "this is a zip archive",
        "unpack the .onnx file; export a .pt checkpoint; .npz data is for --calib",
    ),
    (0, b"\x1f\x8b", "this is a gzip file", "unpack it and give the .onnx file in it"),
    (0, b"\x89HDF", "this is an HDF5 file, perhaps of Keras", "convert it with tf2onnx"),
    (4, b"TFL3", "this is a TensorFlow Lite file", "convert it with tf2onnx"),
    (4, b"ORTM", "this is a file in ORT format", "give the .onnx file that it was made from"),
    (0, b"version https://git-lfs", "this is a Git LFS pointer, not the model", "run: git lfs pull"),
)
NOT_IN_TEXT = (frozenset(range(32)) - frozenset(b"\t\n\f\r")) | {127}

FunctionId = tuple[str, str, str]  # domain, name, overload


def load(source: pathlib.Path | onnx.ModelProto) -> onnx.ModelProto:
    """The model of a file, or a checked copy of one in memory, with its external weights embedded.

    External data is read from the model's own folder only; its `checksum` is not verified. An exported program of torch
    (.pt2) is brought to ONNX first.
    Raises UnreadableModel, once and with every bad tensor, for what cannot be read or not safely.
    """
    folder = source.parent if isinstance(source, pathlib.Path) else None
    where = f"'{safe_name(str(source))}'" if isinstance(source, pathlib.Path) else "the model in memory"
    try:
        if isinstance(source, pathlib.Path) and source.suffix.lower() == ".pt2":
            from snncc.frontend.files.from_torch import from_pt2  # torch, and its exporter, take seconds

            source, folder = from_pt2(source), None
        data = _read(source) if isinstance(source, pathlib.Path) else _serialized(source)
        try:
            model = _parse(data)
        except UnreadableModel:
            if folder is not None:
                _refuse_foreign(data)
            raise
        constants, weights = _survey(model)
        tensors.embed(constants, folder, room=MAX_BYTES - len(data))
        with tensors.together() as refusing:
            for constant in constants:
                with refusing(constant.label):
                    tensors.require_finite(constant, weights)
    except UnreadableModel as refusal:
        raise UnreadableModel(f"{where}: {refusal.message}", cure=refusal.cure) from refusal.__cause__
    return model


def _read(path: pathlib.Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableModel("is a folder", cure="give the .onnx file in it")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise UnreadableModel("is not a regular file", cure="save the model to a file first")
        if status.st_size > MAX_BYTES:
            raise _too_large()
        with path.open("rb") as file:
            data = file.read(status.st_size)
    except FileNotFoundError as error:
        raise UnreadableModel("no such file", cure="check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableModel(f"cannot be read ({reason})", cure="check the path and its permissions") from error
    if not data:
        raise UnreadableModel("is empty", cure=protobuf.AGAIN)
    return data


def _serialized(model: onnx.ModelProto) -> bytes:
    try:
        data: bytes = model.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise _too_large() from error
    return data


def _too_large() -> UnreadableModel:
    return UnreadableModel(f"is larger than the limit of {MAX_BYTES:,} bytes", cure=SMALLER)


def _refuse_foreign(data: bytes) -> None:
    """Called for what turned out not to be ONNX: say what it is instead."""
    if data.startswith(b"PK\x03\x04") and b"data.pkl" in data[:4096]:
        raise UnreadableModel(PICKLE[0], cure=PICKLE[1])
    for offset, magic, what, cure in FOREIGN:
        if data.startswith(magic, offset):
            raise UnreadableModel(what, cure=cure)
    if NOT_IN_TEXT.isdisjoint(data[:512]):
        raise UnreadableModel("this is a text file, not ONNX", cure="give the binary .onnx file")


def _parse(data: bytes) -> onnx.ModelProto:
    protobuf.scan(data)
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise UnreadableModel("is damaged or not ONNX", cure=protobuf.AGAIN) from error
    if not model.HasField("graph"):
        raise UnreadableModel("has no graph: not ONNX, or truncated", cure=protobuf.AGAIN)
    for part, found in (("nodes", model.graph.node), ("outputs", model.graph.output)):
        if not len(found):
            raise UnreadableModel(f"its graph has no {part}", cure="export the whole network")
    if not model.opset_import:
        raise UnreadableModel("no opset: it does not say which ONNX operators it uses", cure=protobuf.AGAIN)
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a message is: its function, node and attribute, the value that a Constant gives, the graphs around it."""

    owner: FunctionId | None = None
    label: str = ""
    value: str = ""
    graphs: int = 0

    def within(self, message: Message) -> _Place:
        """The place of what is in `message`."""
        match message:
            case onnx.GraphProto():
                return replace(self, graphs=self.graphs + 1)
            case onnx.FunctionProto():
                return replace(self, owner=_function_id(message.domain, message.name, message.overload), graphs=1)
            case onnx.NodeProto():
                outputs = list(message.output)
                label = f"node '{safe_name(message.name or (*outputs, message.op_type)[0])}'"
                return replace(self, label=label, value=outputs[0] if message.op_type == "Constant" and outputs else "")
            case onnx.AttributeProto():
                return replace(self, label=f"{self.label} attribute '{safe_name(message.name)}'")
            case onnx.SparseTensorProto() if not self.value:
                return replace(self, value=message.values.name)
            case _:
                return self


def _function_id(domain: str, name: str, overload: str) -> FunctionId:
    return ("" if domain == "ai.onnx" else domain, name, overload)


def _survey(model: onnx.ModelProto) -> tuple[list[tensors.Constant], frozenset[str]]:
    """Every constant of the model, wherever it is, and the names of the values that layers use as weights."""
    constants: list[tensors.Constant] = []
    weights: set[str] = set()
    nodes: Counter[FunctionId | None] = Counter()
    total = 0
    calls: dict[FunctionId | None, Counter[FunctionId]] = {None: Counter()}
    open_messages: list[tuple[Message, _Place]] = [(model, _Place())]
    while open_messages:
        message, place = open_messages.pop()
        inside = place.within(message)
        match message:
            case onnx.TensorProto():
                constants.append(_constant(message, place))
                continue
            case onnx.AttributeProto() if message.HasField("f") or len(message.floats):
                constants.append(tensors.Constant(label=inside.label, value=inside.value, content=message))
            case onnx.GraphProto() if place.graphs > MAX_SUBGRAPHS:
                reason = f"{place.label} is nested in more than {MAX_SUBGRAPHS} subgraphs"
                raise UnreadableModel(reason, cure="flatten the control flow before exporting")
            case onnx.FunctionProto():
                calls.setdefault(inside.owner, Counter())
            case onnx.NodeProto():
                nodes[place.owner] += 1
                total += 1
                if total > MAX_NODES:
                    raise UnreadableModel(f"more than {MAX_NODES:,} nodes, the next is {inside.label}", cure=SMALLER)
                calls[place.owner][_function_id(message.domain, message.op_type, message.overload)] += 1
                if message.op_type in WEIGHTED:
                    weights.update(filter(None, message.input))
        open_messages.extend((child, inside) for child in reversed(list(_children(message))))
    _check_expansion(nodes, calls)
    return constants, frozenset(weights)


def _children(message: Message) -> Iterator[Message]:
    for descriptor, content in message.ListFields():
        if descriptor.message_type is not None:
            for child in [content] if isinstance(content, Message) else content:
                if not isinstance(child, PASSIVE):
                    yield child


def _constant(tensor: onnx.TensorProto, place: _Place) -> tensors.Constant:
    value = place.value or tensor.name
    named = f"tensor '{safe_name(tensor.name)}'" if tensor.name else "tensor"
    label = f"{named} of {place.label}" if place.label else f"initializer '{safe_name(value)}'"
    return tensors.Constant(label=label, value=value, content=tensor)


def _check_expansion(nodes: Counter[FunctionId | None], calls: dict[FunctionId | None, Counter[FunctionId]]) -> None:
    """Functions that call functions double with each level once inlined, and never end in a circle."""
    sizes: dict[FunctionId | None, int] = {}
    known = {caller: [callee for callee in called if callee in calls] for caller, called in calls.items()}
    try:
        for caller in graphlib.TopologicalSorter(known).static_order():
            sizes[caller] = nodes[caller] + sum(calls[caller][callee] * sizes[callee] for callee in known[caller])
            if sizes[caller] > MAX_NODES:
                name = "the graph" if caller is None else f"function '{safe_name(caller[1])}'"
                raise UnreadableModel(f"{name} has more than {MAX_NODES:,} nodes with its functions", cure=SMALLER)
    except graphlib.CycleError as error:
        names = ", ".join(safe_name(caller[1]) for caller in error.args[1][:8])
        raise UnreadableModel(f"its functions call one another in a circle: {names}", cure="inline them") from error
