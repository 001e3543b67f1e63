# SPDX-License-Identifier: Apache-2.0
"""Mutations of files: of their bytes, of protobuf messages, of JSON and TOML, of zip members. All follow a seed."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import tomllib
import zipfile
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 65535, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 63) - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "x",
    "Relu",
    "Loop",
    "Conv",
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\x1b[31m",
    "é" * 50,
    "N" * 3000,
    "9" * 400,
)
WORDS = (
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e999",
    b"99999999999999999999",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"null",
    b"[[[[",
    b"'../x'",
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few flips, insertions, deletions, copies or a cut."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(found) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(7):
            case 0 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(found):
                found[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            case 2:
                found[at:at] = rng.randbytes(size)
            case 3:
                del found[at : at + size]
            case 4:
                source = rng.randrange(len(found) + 1)
                found[at : at + size] = found[source : source + size]
            case 5:
                found[at : at + size] = rng.choice((b"\0", b"\xff", b"\x80")) * size
            case 6 if rng.random() < 0.3:
                del found[at:]
    return bytes(found)


def messages(message: Message) -> list[Message]:
    """A message and all within it."""
    found, pending = [], [message]
    while pending:
        part = pending.pop()
        found.append(part)
        for field, content in part.ListFields():
            if field.message_type is not None:
                pending.extend([content] if isinstance(content, Message) else list(content))
    return found


def scalar(field: FieldDescriptor, old: Any, rng: random.Random) -> Any:
    """Another value of a field."""
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice((*FLOATS, rng.gauss(0, 10)))
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice((*TEXTS, (old or "x")[::-1], (old or "x") + "_"))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return mutate_bytes(old or b"x", rng)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice([v.number for v in field.enum_type.values])
    number = rng.choice((*NUMBERS, (old or 0) + rng.choice((-1, 1))))
    limits = {FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1), FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1)}
    low, high = limits.get(field.type, (-(1 << 63), (1 << 63) - 1))
    return min(max(number, low), high)


def mutate_message(message: Message, rng: random.Random) -> None:
    """Change, drop, repeat or exchange fields somewhere in a message."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        part = rng.choice(messages(message))
        filled = [field for field, _ in part.ListFields()]
        field = rng.choice(filled if filled and rng.random() < 0.8 else list(part.DESCRIPTOR.fields))
        content = getattr(part, field.name)
        if field.is_repeated:
            how = rng.randrange(4)
            if how == 0 and len(content):
                del content[rng.randrange(len(content))]
            elif field.message_type is not None:
                donors = [m for m in messages(message) if m.DESCRIPTOR is field.message_type]
                if donors:
                    donor = copy.deepcopy(rng.choice(donors))  # it may contain this one
                    content.add().CopyFrom(donor)
            elif how == 1 and len(content):
                content[rng.randrange(len(content))] = scalar(field, content[0], rng)
            else:
                content.append(scalar(field, content[0] if len(content) else None, rng))
        elif field.message_type is not None:
            if rng.random() < 0.5:
                part.ClearField(field.name)
            else:
                donors = [m for m in messages(message) if m.DESCRIPTOR is field.message_type]
                if donors:
                    getattr(part, field.name).CopyFrom(copy.deepcopy(rng.choice(donors)))
        elif rng.random() < 0.2:
            part.ClearField(field.name)
        else:
            setattr(part, field.name, scalar(field, content, rng))


def mutate_json(document: Any, rng: random.Random) -> Any:
    """Change, drop or exchange values somewhere in a document."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places: list[tuple[Any, Any]] = []
        pending = [document]
        while pending:
            part = pending.pop()
            items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
            for key, value in items:
                places.append((part, key))
                pending.append(value)
        if not places:
            return document
        (holder, key), (other, place) = rng.choice(places), rng.choice(places)
        match rng.randrange(5):
            case 0:
                del holder[key]
            case 1:
                holder[key] = copy.deepcopy(other[place])
            case 2 if isinstance(holder, dict):
                holder[rng.choice(TEXTS)] = holder.pop(key)
            case 3:
                holder[key] = rng.choice((None, True, [], {}, [[[]]], *TEXTS, *NUMBERS, 1 << 70, *FLOATS))
            case _:
                old = holder[key]
                holder[key] = old + rng.choice((1, -1)) if isinstance(old, int | float) else rng.choice(NUMBERS)
    return document


def mutate_json_bytes(data: bytes, rng: random.Random) -> bytes:
    """A JSON file with other values, or other bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    return json.dumps(mutate_json(json.loads(data), rng)).encode()


def mutate_text(data: bytes, rng: random.Random) -> bytes:
    """A text with some of its words, lines or brackets exchanged."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        words = list(re.finditer(rb"[A-Za-z0-9_.\"'-]+|[\[\]{}=,]", data))
        if not words:
            return data
        one, other = rng.choice(words), rng.choice(words)
        new = rng.choice((other.group(), rng.choice(WORDS), b"", one.group() * 2, b"[" * rng.choice((2, 20, 3000))))
        data = data[: one.start()] + new + data[one.end() :]
        if rng.random() < 0.2:
            lines = data.split(b"\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            data = b"\n".join(lines)
    return data


def toml_value(value: Any) -> str:
    """A value as TOML writes it in a line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(v) for v in value if v is not None) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def mutate_toml(data: bytes, rng: random.Random) -> bytes:
    """A TOML file with other values, words or bytes."""
    if rng.random() < 0.4:
        return mutate_text(data, rng)
    document = mutate_json(tomllib.loads(data.decode()), rng)
    return "".join(f"{json.dumps(k)} = {toml_value(v)}\n" for k, v in document.items() if v is not None).encode()


def mutate_zip(data: bytes, rng: random.Random) -> bytes:
    """An archive whose members have other bytes or names, with sound check sums; or other bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    match rng.randrange(5):
        case 0:
            name = rng.choice(
                ("../x.npy", "/x.npy", "C:\\x.npy", "y.npy", "x", "", "a/../../b.npy", name * 2, "calib_x.npy")
            )
        case 1:
            members.append((name, mutate_bytes(content, rng)))
        case 2:
            header = min(len(content), 128)
            content = mutate_text(content[:header], rng) + content[header:]
        case _:
            content = mutate_bytes(content, rng)
    members[at] = (name, content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, data_of in members:
            archive.writestr(zipfile.ZipInfo(member), data_of)
    return buffer.getvalue()
