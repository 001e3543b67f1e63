# SPDX-License-Identifier: Apache-2.0
"""The bytes of an ONNX file, walked before protobuf allocates anything for them.

Two bytes of file can cost a hundred bytes of memory once parsed, and protobuf's own message is "Error parsing message".
"""

from __future__ import annotations

import functools
from collections.abc import Container

import onnx
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from snncc.errors import UnreadableModel

MAX_FIELDS = 5_000_000
MAX_DEPTH = 100  # protobuf's own limit for messages within messages
AGAIN = "copy, download or export the model again"


@functools.cache
def _fields(kind: Descriptor) -> dict[int, tuple[Descriptor | None, bool]]:
    """Of each field number: the message that it holds, and whether it is a string."""
    return {field.number: (field.message_type, field.type == FieldDescriptor.TYPE_STRING) for field in kind.fields}


def _damaged(reason: str) -> UnreadableModel:
    return UnreadableModel(f"is damaged or not ONNX: {reason}", cure=AGAIN)


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number at `position`, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position + shift // 7 >= end:
            break
        byte = data[position + shift // 7]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + shift // 7 + 1
    raise _damaged(f"no number at byte {position:,}")


def field_end(data: bytes, begin: int, end: int, shallow: bool, known: Container[int]) -> tuple[int, int, int]:
    """The tag of the field at `begin`, where its content starts and where it ends, inside its message."""
    tag, start = _varint(data, begin, end)
    match tag & 7:
        case 0:
            _, position = _varint(data, start, end)
        case 1:
            position = start + 8
        case 2:
            size, start = _varint(data, start, end)
            position = start + size
        case 5:
            position = start + 4
        case _:
            raise _damaged(f"no field at byte {begin:,}")
    if position > end and shallow and tag >> 3 in known:
        raise UnreadableModel(f"is truncated: {position - end:,} bytes are missing at its end", cure=AGAIN)
    if position > end:
        raise _damaged(f"the field at byte {begin:,} is longer than the message around it")
    return tag, start, position


def scan(data: bytes) -> None:
    """Raise UnreadableModel for contradictory lengths, too many or too deep fields, and strings that are not UTF-8.

    Protobuf hands such strings out as bytes, and the first use as a name would be a TypeError.
    """
    fields = 0
    parts: list[tuple[int, int, Descriptor, int]] = [(0, len(data), onnx.ModelProto.DESCRIPTOR, 1)]
    while parts:
        position, end, kind, depth = parts.pop()
        if depth > MAX_DEPTH:
            raise UnreadableModel(f"is nested more than {MAX_DEPTH} messages deep", cure="flatten the subgraphs")
        known = _fields(kind)
        while position < end:
            fields += 1
            if fields > MAX_FIELDS:
                raise UnreadableModel(f"holds more than {MAX_FIELDS:,} fields", cure="convert a smaller model")
            tag, start, position = field_end(data, position, end, depth == 1, known)
            message, is_string = known.get(tag >> 3, (None, False))
            if tag & 7 == 2 and message is not None:
                parts.append((start, position, message, depth + 1))
            elif tag & 7 == 2 and is_string:
                try:
                    data[start:position].decode()
                except UnicodeDecodeError as error:
                    raise _damaged(f"the text at byte {start:,} is not UTF-8") from error
