# SPDX-License-Identifier: Apache-2.0
"""What strangers have put into ONNX files, and that honest files still load."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from snncc.errors import UnreadableModel
from snncc.frontend.files import load as load_module
from snncc.frontend.files import protobuf, tensors
from snncc.frontend.files.load import load
from snncc.names import LONGEST, safe_name

DATA = Path(os.environ.get("SNNCC_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
REAL = sorted((DATA / "models").glob("*.onnx"))
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
INF, NAN = float("inf"), float("nan")

Edit = Callable[[onnx.ModelProto], object]


def small_model(op: str = "MatMul", weight: TensorProto | None = None) -> onnx.ModelProto:
    """`y = op(x, w)`, one initializer."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], name="layer")],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [weight or numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(name: str = "w", **entries: str) -> TensorProto:
    tensor = TensorProto(name=name, dims=WEIGHT.shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def refused(source: Path | onnx.ModelProto, *words: str) -> str:
    """The message of the refusal, which holds all the words and a cure."""
    with pytest.raises(UnreadableModel) as info:
        load(source)
    assert info.value.cure
    assert str(info.value).isprintable() or "\n" in str(info.value)
    for word in words:
        assert word in str(info.value)
    return str(info.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model's folder, with good weights in it, and a secret beside it."""
    inner = tmp_path / "model"
    (inner / "sub").mkdir(parents=True)
    for place in (inner / "w.bin", inner / "sub" / "w.bin", tmp_path / "secret"):
        place.write_bytes(WEIGHT.tobytes())
    return inner


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


# --- honest models ------------------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.skipif(not REAL, reason="no models in the folder that SNNCC_DATA names")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_models_load_unchanged(path: Path) -> None:
    assert load(path) == onnx.load(path)


@pytest.mark.data
@pytest.mark.skipif(not REAL, reason="no models in the folder that SNNCC_DATA names")
def test_real_model_with_external_data_is_the_same_model(tmp_path: Path) -> None:
    original = onnx.load(REAL[0])
    path = tmp_path / "m.onnx"
    onnx.save(onnx.load(REAL[0]), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    loaded = load(path)
    pairs = zip(loaded.graph.initializer, original.graph.initializer, strict=True)
    assert all(np.array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b)) for a, b in pairs)
    assert load(loaded) == loaded


def test_model_in_memory_is_copied() -> None:
    model = small_model()
    loaded = load(model)
    assert loaded == model
    assert loaded is not model


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "w.bin"},
        {"location": "./sub//w.bin", "offset": "0", "length": "24", "checksum": "unverified"},
        {"location": "inner_link"},
        {"location": "linked/w.bin"},
        {"location": "tail.bin", "offset": "8"},
    ],
    ids=lambda entries: entries["location"],
)
def test_external_data_is_embedded(folder: Path, entries: dict[str, str]) -> None:
    (folder / "inner_link").symlink_to("sub/w.bin")
    (folder / "linked").symlink_to(folder / "sub")
    (folder / "tail.bin").write_bytes(bytes(8) + WEIGHT.tobytes())
    tensor = load(saved(folder, small_model(weight=external(**entries)))).graph.initializer[0]
    assert tensor == numpy_helper.from_array(WEIGHT, "w")


def test_folder_may_be_relative_and_model_a_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(folder, small_model(weight=external(location="w.bin")))
    (folder / "link.onnx").symlink_to("m.onnx")
    monkeypatch.chdir(folder)
    assert load(Path("link.onnx")).graph.initializer[0].raw_data == WEIGHT.tobytes()


@pytest.mark.parametrize("dtype", sorted(set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}))
def test_every_element_type_loads(dtype: int) -> None:
    values = ["a", "b", "c"] if dtype == TensorProto.STRING else np.ones(3)
    if dtype == TensorProto.STRING:
        forms = [helper.make_tensor("w", dtype, [3], values)]
    else:
        array = np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(dtype))
        forms = [numpy_helper.from_array(array, "w"), helper.make_tensor("w", dtype, [3], array)]
    for tensor in forms:
        assert load(small_model("Custom", tensor)).graph.initializer[0] == tensor


# --- the file -----------------------------------------------------------------------------------------------------


def zipped(path: Path, member: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"x")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_bytes(np.random.default_rng(7).bytes(4096)), "not ONNX"),
        (lambda path: path.write_text("import torch\n" * 9), "text file"),
        (lambda path: path.write_text("B"), "text file"),
        (lambda path: zipped(path, "m.txt"), "zip archive"),
        (lambda path: zipped(path, "m/data.pkl"), "this is a PyTorch checkpoint"),
        (lambda path: path.write_bytes(pickle.dumps({"w": 1}, protocol=2)), "this is a PyTorch checkpoint"),
        (lambda path: path.write_bytes(pickle.dumps({"w": 1}, protocol=5)), "torch.onnx.export"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "HDF5"),
        (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(9)), "TensorFlow Lite"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda path: path.write_bytes(small_model().SerializeToString()[:-40]), "truncated"),
        (lambda path: (path.touch(), os.truncate(path, 2**31)), "larger than the limit"),
    ],
)
def test_file_that_is_no_model(tmp_path: Path, write: Callable[[Path], object], words: str) -> None:
    path = tmp_path / "m\x1b[2J.onnx"
    write(path)
    assert str(tmp_path) in refused(path, words, r"m\x1b[2J.onnx")


def test_null_byte_in_the_path() -> None:
    refused(Path("m\0.onnx"), "cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_file_without_permission(tmp_path: Path) -> None:
    path = saved(tmp_path, small_model())
    path.chmod(0)
    refused(path, "cannot be read (Permission denied)")


@pytest.mark.parametrize("length", range(0, small_model().ByteSize(), 7))
def test_truncated_anywhere(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(small_model().SerializeToString()[:length])
    refused(path)


@pytest.mark.parametrize(
    ("part", "words"),
    [("graph", "no graph"), ("opset_import", "no opset")],
)
def test_model_without_a_part(part: str, words: str) -> None:
    model = small_model()
    model.ClearField(part)
    refused(model, words)


@pytest.mark.parametrize("part", ["node", "output"])
def test_graph_without_a_part(part: str) -> None:
    model = small_model()
    model.graph.ClearField(part)
    refused(model, f"no {part}s")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08" + b"\xff" * 11,  # a number without end
        b"\x3b\x08\x01\x3c",  # a group, which ONNX does not have
        b"\x3a\x04\x0a\x7f\x0a\x00" + bytes(200),  # a node longer than its graph
        b"\x00\x01",  # field number 0
        b"\x3a\x04\x12\x02\xff\xfe",  # a graph whose name is not UTF-8
    ],
    ids=["varint", "group", "overlong", "field0", "utf8"],
)
def test_damaged_wire_format(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    refused(tmp_path / "m", "is damaged or not ONNX")


# --- external data ------------------------------------------------------------------------------------------------

ESCAPES = {
    "CVE-2022-25882": "../secret",
    "CVE-2022-25882-no-target": "../../no/such/file",
    "CVE-2024-27318": "sub/../../secret",
    "back-inside": "../model/w.bin",
    "dots-inside": "sub/../w.bin",
    "absolute": "/etc/passwd",
    "drive": "C:\\secret",
    "drive-relative": "C:secret",
    "backslashes": "..\\secret",
    "share": "\\\\host\\share\\secret",
    "null": "w.bin\0",
}


@pytest.mark.parametrize("location", ESCAPES.values(), ids=ESCAPES)
def test_location_outside_the_folder(folder: Path, location: str) -> None:
    path = saved(folder, small_model(weight=external(location=location)))
    refused(path, "not below the model's folder", "initializer 'w'")


LINKS = {
    "CVE-2026-27489-file": ("link", "link", "../secret"),
    "CVE-2026-27489-absolute": ("link", "link", "/etc/passwd"),
    "CVE-2026-27489-no-target": ("link", "link", "../no/such/file"),
    "CVE-2026-34447-folder": ("link/secret", "link", ".."),
    "CVE-2026-34447-deep": ("sub/link/secret", "sub/link", "../.."),
    "out-and-in": ("link/model/w.bin", "link", ".."),
}


@pytest.mark.parametrize(("location", "link", "target"), LINKS.values(), ids=LINKS)
def test_link_that_leaves_the_folder(folder: Path, location: str, link: str, target: str) -> None:
    (folder / link).symlink_to(target)
    refused(saved(folder, small_model(weight=external(location=location))), "through a link", "initializer 'w'")


def test_hard_link(folder: Path) -> None:
    """CVE-2026-34446."""
    (folder / "hard").hardlink_to(folder.parent / "secret")
    refused(saved(folder, small_model(weight=external(location="hard"))), "hard links")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "no regular file"),
        (lambda path: os.mkfifo(path), "no regular file"),
        (lambda path: path.symlink_to("odd"), "cannot be read"),
        (lambda path: None, "external weights missing: odd"),
    ],
    ids=["folder", "pipe", "circle", "missing"],
)
def test_external_file_that_is_none(folder: Path, make: Callable[[Path], object], words: str) -> None:
    make(folder / "odd")
    refused(saved(folder, small_model(weight=external(location="odd"))), words)


@pytest.mark.parametrize("location", [".", "", "x" * 5000, "w.bin/w.bin"])
def test_odd_locations(folder: Path, location: str) -> None:
    refused(saved(folder, small_model(weight=external(location=location))), "initializer 'w'")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"basepath": "/etc"}, "keys: location, basepath"),  # CVE-2026-34445: attributes set through keys
        ({"__class__": "x"}, "keys: location, __class__"),
        ({"\x1b]0;x\x07": "x"}, r"\x1b]0;x\x07"),
        ({"offset": "-1"}, "offset '-1'"),
        ({"length": "-24"}, "length '-24'"),
        ({"offset": "1_0"}, "no whole number"),
        ({"offset": "٤"}, "no whole number"),
        ({"offset": ""}, "no whole number"),
        ({"offset": "9" * 5000}, "no whole number"),
        ({"offset": str(2**62)}, "no whole number"),
        ({"offset": str(10**17)}, "only 24"),
        ({"length": str(10**17)}, "only 24"),
        ({"offset": "1", "length": "24"}, "only 24"),
        ({"offset": "25"}, "only 24"),
        ({"offset": "4"}, "has 20 bytes"),
        ({"length": "20"}, "has 20 bytes"),
    ],
)
def test_external_entries(folder: Path, entries: dict[str, str], words: str) -> None:
    """CVE-2026-34445 and its kind: unknown keys, offsets and lengths that the file does not have."""
    refused(saved(folder, small_model(weight=external(location="w.bin", **entries))), words, "initializer 'w'")


def test_repeated_key(folder: Path) -> None:
    tensor = external(location="w.bin")
    tensor.external_data.add(key="location", value="sub/w.bin")
    refused(saved(folder, small_model(weight=tensor)), "keys: location, location")


def attribute_tensor(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], name="constant", value=tensor))


def subgraph_tensor(model: onnx.ModelProto, tensor: TensorProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["x"], ["c"], name="if", then_branch=branch))


def function_tensor(model: onnx.ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["c"], name="constant", value=tensor)
    model.functions.append(helper.make_function("f", "f", [], ["c"], [node], [helper.make_opsetid("", 17)]))


def sparse_tensor(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add(values=tensor, dims=[6])


def training_tensor(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().initialization.initializer.append(tensor)


@pytest.mark.parametrize("place", [attribute_tensor, subgraph_tensor, function_tensor, sparse_tensor, training_tensor])
def test_tensors_are_found_everywhere(folder: Path, place: Callable[[onnx.ModelProto, TensorProto], None]) -> None:
    model = small_model()
    place(model, external(name="t", location="../secret"))
    refused(saved(folder, model), "not below the model's folder", "'t'")
    model = small_model()
    place(model, numpy_helper.from_array(np.float32([NAN]), "t"))
    refused(model, "holds NaN", "'t'")


def test_all_bad_tensors_at_once(folder: Path) -> None:
    model = small_model(weight=external(location="gone.bin"))
    model.graph.initializer.append(external("second", location="gone.bin"))
    model.graph.initializer.append(external("third", location="../secret"))
    path = saved(folder, model)
    refused(path, "3 constants", "missing: gone.bin (initializer 'w', initializer 'second')", "'third'", "put gone.bin")


def test_long_lists_are_cut(folder: Path) -> None:
    model = small_model(weight=external(location="gone.bin"))
    model.graph.initializer.extend(external(f"w{index}", location="gone.bin") for index in range(150))
    refused(saved(folder, model), "'w98', and 51 more")


def test_no_file_is_opened_if_any_tensor_is_bad(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(weight=external(location="w.bin"))
    model.graph.initializer.append(external("bad", location="../secret"))
    path = saved(folder, model)
    monkeypatch.setattr(tensors.os, "open", lambda *_: pytest.fail("opened"))
    refused(path, "'bad'")


def test_file_replaced_by_a_link_after_the_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tensors._inside

    def and_swap(location: str, home: Path) -> tuple[Path, int]:
        answer = inside(location, home)
        (folder / "w.bin").unlink()
        (folder / "w.bin").symlink_to(folder.parent / "secret")
        return answer

    monkeypatch.setattr(tensors, "_inside", and_swap)
    refused(saved(folder, small_model(weight=external(location="w.bin"))), "cannot be read")


def test_total_of_external_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(folder, small_model(weight=external(location="w.bin")))
    monkeypatch.setattr(load_module, "MAX_BYTES", path.stat().st_size + 23)
    refused(path, "past the limit", "initializer 'w'")


def test_external_data_in_memory() -> None:
    refused(small_model(weight=external(location="w.bin")), "no folder", "initializer 'w'")


# --- limits -------------------------------------------------------------------------------------------------------


def test_too_many_nodes() -> None:
    model = small_model()
    model.graph.node.extend([onnx.NodeProto(op_type="Relu")] * load_module.MAX_NODES)
    refused(model, "more than 100,000 nodes", "node 'Relu'")


def nested(depth: int) -> onnx.ModelProto:
    model = small_model()
    graph = model.graph
    for level in range(depth):
        node = graph.node.add(op_type="If", name=f"if{level}")
        graph = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
        graph.SetInParent()
    return model


def test_subgraph_nesting() -> None:
    load(nested(16))
    refused(nested(17), "node 'if16' attribute 'then_branch'", "more than 16 subgraphs")
    refused(nested(80), "100 messages deep")


def test_fields_are_counted_before_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "MAX_FIELDS", 1000)
    monkeypatch.setattr(onnx.ModelProto, "FromString", lambda _: pytest.fail("parsed"), raising=False)
    (tmp_path / "m").write_bytes(b"\x3a\xd0\x0f" + b"\x0a\x00" * 1000)
    refused(tmp_path / "m", "more than 1,000 fields")


def with_functions(*bodies: tuple[str, list[str]]) -> onnx.ModelProto:
    model = small_model()
    model.graph.node.add(op_type=bodies[0][0], domain="f")
    for name, called in bodies:
        nodes = [helper.make_node(callee, [], [], domain="f") for callee in called]
        model.functions.append(helper.make_function("f", name, [], [], nodes, [helper.make_opsetid("f", 1)]))
    return model


def test_functions_that_double() -> None:
    load(with_functions(*((f"f{k}", [f"f{k + 1}"] * 2) for k in range(10))))
    refused(with_functions(*((f"f{k}", [f"f{k + 1}"] * 2) for k in range(60))), "more than 100,000 nodes", "function")


def test_functions_in_a_circle() -> None:
    refused(with_functions(("f", ["g"]), ("g", ["f"])), "in a circle")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"dims": [-2, -3]}, "negative dimension"),
        ({"dims": [2**32, 2**32]}, "more than"),
        ({"dims": [0, 2**62]}, "more than"),
        ({"dims": [1] * 65}, "dimensions"),
        ({"dims": [2, 4]}, "holds 24 bytes, its shape 2x4 needs 32"),
        ({"dims": []}, "scalar needs 4"),
        ({"raw_data": b""}, "holds 0 bytes"),
        ({"data_type": 0}, "unknown element type 0"),
        ({"data_type": 999}, "unknown element type 999"),
        ({"data_type": TensorProto.STRING}, "raw_data instead of string_data"),
        ({"data_type": TensorProto.COMPLEX64}, "needs 48"),
        ({"float_data": [1.0] * 6}, "raw_data and float_data"),
        ({"raw_data": None, "float_data": [1.0] * 5}, "holds 5 numbers"),
        ({"raw_data": None, "int32_data": [1] * 6}, "int32_data instead of float_data"),
        ({"raw_data": None}, "holds 0 numbers"),
        ({"segment": TensorProto.Segment(begin=0, end=1)}, "segment"),
        ({"external_data": [onnx.StringStringEntryProto(key="location", value="w")]}, "not marked as external"),
        ({"data_location": TensorProto.EXTERNAL}, "no folder"),
    ],
)
def test_layout(edit: dict[str, object], words: str) -> None:
    tensor = numpy_helper.from_array(WEIGHT, "w")
    for key in edit:
        tensor.ClearField(key)
    tensor.MergeFrom(TensorProto(**{key: value for key, value in edit.items() if value is not None}))
    refused(small_model(weight=tensor), words, "initializer 'w'")


def test_embedded_and_external(folder: Path) -> None:
    tensor = external(location="w.bin")
    tensor.raw_data = WEIGHT.tobytes()
    refused(saved(folder, small_model(weight=tensor)), "both embedded and external")


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_nan(dtype: str) -> None:
    weight = numpy_helper.from_array(np.array([1, NAN], dtype), "w")
    refused(small_model("Add", weight), "holds NaN", "initializer 'w'")


def test_nan_in_bfloat16() -> None:
    refused(small_model("Add", helper.make_tensor("w", TensorProto.BFLOAT16, [1], [NAN])), "holds NaN")


def test_nan_in_external_data(folder: Path) -> None:
    (folder / "w.bin").write_bytes(np.full(6, NAN, np.float32).tobytes())
    refused(saved(folder, small_model(weight=external(location="w.bin"))), "holds NaN", "initializer 'w'")


@pytest.mark.parametrize("op", sorted(load_module.WEIGHTED))
def test_infinite_weight(op: str) -> None:
    refused(small_model(op, numpy_helper.from_array(np.float32([1, -INF]), "w")), "infinity", "initializer 'w'")


@pytest.mark.parametrize("op", ["Clip", "Add", "Where"])
def test_infinite_bound_or_mask(op: str) -> None:
    load(small_model(op, numpy_helper.from_array(np.float32([0, -INF]), "w")))


@pytest.mark.parametrize(
    "attribute", [{"value": numpy_helper.from_array(np.float32([INF]))}, {"value_floats": [INF]}, {"value_float": INF}]
)
def test_infinite_constant_node(attribute: dict[str, object]) -> None:
    model = small_model()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], name="constant", **attribute))
    load(model)
    model.graph.node[1].input[1] = "c"
    refused(model, "infinity", "node 'constant'")


def test_nan_attribute() -> None:
    model = small_model()
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", NAN))
    refused(model, "holds NaN", "node 'layer' attribute 'alpha'")


# --- names and noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("conv1.weight", "conv1.weight"),
        ("größe θ ≥ 重み", "größe θ ≥ 重み"),
        ("\x1b[31mred\x07\n\x7f\x9b", r"\x1b[31mred\x07\n\x7f\x9b"),
        ("a\u202eb\u2028\ud800", r"a\u202eb\u2028\ud800"),
    ],
)
def test_safe_name(name: str, shown: str) -> None:
    assert safe_name(name) == shown


def test_safe_name_cuts_the_middle() -> None:
    text = safe_name("a" * 5000 + "end")
    assert len(text) == LONGEST
    assert text.endswith("end")


@given(text=st.text())
def test_safe_name_is_printable(text: str) -> None:
    assert safe_name(text).isprintable()


def test_names_in_messages_are_safe() -> None:
    model = small_model("Add", numpy_helper.from_array(np.float32([NAN]), "w\x1b[2J"))
    assert "\x1b" not in refused(model, r"w\x1b[2J")


SEED = small_model()
attribute_tensor(SEED, helper.make_tensor("c", TensorProto.FLOAT16, [2], [1.0, 2.0]))
subgraph_tensor(SEED, helper.make_tensor("s", TensorProto.INT4, [3], [1, 2, 3]))
function_tensor(SEED, external("e", location="w.bin", offset="0", length="24"))
BYTES = SEED.SerializeToString()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.integers(0, len(BYTES) - 1), st.integers(0, 255), max_size=6),
    cut=st.tuples(st.integers(0, len(BYTES)), st.integers(0, 8)),
)
def test_mutated_bytes_load_or_are_refused(folder: Path, changes: dict[int, int], cut: tuple[int, int]) -> None:
    data = bytearray(BYTES)
    for position, value in changes.items():
        data[position] = value
    del data[cut[0] : cut[0] + cut[1]]
    path = folder / "m.onnx"
    path.write_bytes(data)
    try:
        model = load(path)
    except UnreadableModel:
        return
    assert load(model) == model
