# SPDX-License-Identifier: Apache-2.0
"""How values become bytes, and what names bytes: the same for the same value on every machine."""

from __future__ import annotations

import hashlib

import msgspec


def sha256(data: bytes) -> str:
    """The hash as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    """JSON with sorted keys, indented, with a final newline: the same bytes for the same value."""
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1) + b"\n"
