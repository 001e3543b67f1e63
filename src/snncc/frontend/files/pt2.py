# SPDX-License-Identifier: Apache-2.0
"""Exported programs of torch (.pt2) from strangers: what could run code in one is refused before torch sees it.

`torch.export.load` unpickles (weights, constants, sample inputs), looks operators up by attribute in all of torch,
evaluates shape expressions with `sympify` and puts names into generated source. So the archive is rebuilt here from
what a plain network needs: raw tensors, ATen operators, identifiers, and sums and products of sizes.
"""

from __future__ import annotations

import io
import json
import keyword
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snncc.errors import UnreadableModel
from snncc.names import safe_name

MAX_BYTES = (1 << 31) - 1
MAX_MEMBERS = 20_000
EXPORT = "export it with torch.onnx.export yourself and give the .onnx file"
ROOT = "model/"
PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id|models/model\.json"
    r"|data/(weights/(weight_\d+|model_weights_config\.json)|constants/(tensor_\d+|model_constants_config\.json))"
)
#: Left out: the pickled sample inputs, which nothing needs, and files of the user's.
LEFT_OUT = ("data/sample_inputs/", "extra/")
WORD = re.compile(r"[A-Za-z0-9_.]{0,400}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,300}")
OPERATOR = re.compile(
    r"torch\.ops\.aten\.[a-z0-9_]+\.[A-Za-z0-9_]+|torch\.sym_(int|float|max|min|not|sum)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)"
)
REFUSED = re.compile(r"torch\.ops\.aten\.(from_file|_print|record_stream)\.")
SIZE = re.compile(
    r"(Symbol|Integer|Add|Mul|Max|Min|FloorDiv|CeilDiv|CleanDiv|Mod|PythonMod|ModularIndexing|IntTrueDiv|ToFloat"
    r"|CeilToInt|FloorToInt|TruncToInt|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|Equality|Unequality"
    r"|And|Or|Not)(?=\()|'[a-z]{1,4}\d{1,9}'|(positive|integer|nonnegative)=(True|False)|-?\d{1,18}|[(), ]"
)
TREE = re.compile(
    r'[\[\]{}:, ]|"(type|context|children_spec|builtins\.(tuple|list|dict)|null|\[\]|[A-Za-z_]\w*)"|null|1'
)


def refuse(reason: str) -> UnreadableModel:
    """The error for a part of the archive."""
    return UnreadableModel(reason, cure=EXPORT)


def exported_program(path: Path) -> io.BytesIO:
    """The archive, rebuilt from what is safe to load. Raises UnreadableModel."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = plain_members(archive)
            content = {name: archive.read(info) for name, info in members.items()}
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else safe_name(str(error))
        raise UnreadableModel(
            f"is no exported program of torch: {reason}", cure="save it with torch.export.save"
        ) from None
    for name in (
        "models/model.json",
        "data/weights/model_weights_config.json",
        "data/constants/model_constants_config.json",
    ):
        if name not in content:
            raise UnreadableModel(f"has no {name}", cure="save it with torch.export.save of torch 2.9 or newer")
        document = parsed(content[name], name)
        if name == "models/model.json":
            check_program(document)
        else:
            check_payloads(document, name, content)
        content[name] = json.dumps(document).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**content, "data/sample_inputs/model.pt": b""}.items():
            archive.writestr(ROOT + name, data)
    buffer.seek(0)
    return buffer


def plain_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive by their path below its one folder; raises UnreadableModel for what is not plain."""
    found: dict[str, zipfile.ZipInfo] = {}
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_BYTES:
        raise UnreadableModel("would unpack to more than 2 GiB or 20,000 files", cure="convert a smaller model")
    for info in infos:
        root, _, name = info.filename.partition("/")
        if name in found or root != infos[0].filename.partition("/")[0]:
            raise refuse(f"holds {safe_name(info.filename)!r} twice or beside its folder")
        if PLAIN.fullmatch(name):
            found[name] = info
        elif not name.startswith(LEFT_OUT):
            raise refuse(f"holds {safe_name(name)!r}, which is no part of a plain network and is not loaded")
    return found


def parsed(data: bytes, name: str) -> dict[str, Any]:
    """A JSON member; raises UnreadableModel."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise refuse(f"{name} is damaged: {safe_name(str(error))}") from None
    if not isinstance(document, dict):
        raise refuse(f"{name} is damaged: it is no object")
    return document


def check_payloads(document: Any, name: str, content: dict[str, bytes]) -> None:
    """Refuse tensors that are pickled, that lie elsewhere, or that are larger than their data."""
    folder = name.rpartition("/")[0]
    entries = document.get("config")
    for key, entry in entries.items() if isinstance(entries, dict) else [("", None)]:
        if not isinstance(entry, dict) or not WORD.fullmatch(key):
            raise refuse(f"{name} is damaged at {safe_name(key)!r}")
        place = entry.get("path_name")
        if entry.get("use_pickle") is not False or not isinstance(place, str) or f"{folder}/{place}" not in content:
            raise refuse(f"{safe_name(key)!r} is a pickle or not in the archive; pickles are never opened")
        sizes = fixed_sizes(entry.get("tensor_meta"))
        if sizes is None:
            raise refuse(f"{safe_name(key)!r} has no fixed size")
        if math.prod(sizes) > 8 * len(content[f"{folder}/{place}"]):
            raise refuse(f"{safe_name(key)!r} is larger than its data")
    for value, key in walk(document):
        check_text(value, key)


def fixed_sizes(meta: Any) -> list[int] | None:
    """The extents that a tensor's description gives; None where they are not plain numbers."""
    given = meta.get("sizes") if isinstance(meta, dict) else None
    if not isinstance(given, list):
        return None
    sizes = [size.get("as_int") if isinstance(size, dict) else None for size in given]
    plain = [size for size in sizes if isinstance(size, int) and 0 <= size <= MAX_BYTES]
    return plain if len(plain) == len(sizes) else None


def check_program(document: dict[str, Any]) -> None:
    """Refuse whatever in the program is not plain; stack traces and guards are dropped."""
    document["guards_code"] = []
    graph_module = document.get("graph_module")
    if not isinstance(graph_module, dict) or not isinstance(graph_module.get("graph"), dict):
        raise refuse("models/model.json has no graph")
    graph_module["metadata"] = {}
    graph_module["treespec_namedtuple_fields"] = {}
    drop_metadata(document)
    document["torch_version"] = ""
    for value, key in walk(document):
        check_text(value, key)


def drop_metadata(document: Any) -> None:
    """Empty the metadata of nodes: source lines and module names, which are free text."""
    pending = [document]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if "metadata" in part:
                part["metadata"] = {}
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def walk(document: Any) -> Iterator[tuple[str, str]]:
    """Every text in a document with the key that it stands under; keys are texts too, under "key"."""
    pending: list[tuple[Any, str]] = [(document, "")]
    while pending:
        part, under = pending.pop()
        if isinstance(part, str):
            yield part, under
        elif isinstance(part, dict):
            for key, value in part.items():
                yield key, "key"
                pending.append((value, key))
        elif isinstance(part, list):
            pending.extend((value, under) for value in part)


def check_text(text: str, key: str) -> None:
    """Raise UnreadableModel unless a text is of the form that its key allows."""
    if key in ("target", "as_operator"):
        fits = OPERATOR.fullmatch(text) is not None and not REFUSED.match(text)
        what = "the operator"
    elif key == "expr_str":
        fits, what = not SIZE.sub("", text), "the size"
    elif key in ("in_spec", "out_spec"):
        fits, what = not TREE.sub("", text), "the structure"
    elif key == "name":
        fits, what = NAME.fullmatch(text) is not None and not keyword.iskeyword(text), "the name"
    elif key == "type":
        fits, what = text == "cpu", "the device"
    else:
        fits, what = WORD.fullmatch(text) is not None, "the text"
    if not fits:
        raise refuse(f"{what} {safe_name(text)!r} is not one that a plain network on the CPU needs, and is not loaded")
