# SPDX-License-Identifier: Apache-2.0
"""Names that a stranger wrote, made fit to print."""

from __future__ import annotations

LONGEST = 200


def safe_name(text: str) -> str:
    r"""`text` on one line: control, formatting and surrogate characters escaped, the middle of a long text cut out.

    Terminals obey escape sequences, and bidirectional marks show a name that is not the name in the file.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 60]}…{text[-59:]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
