# SPDX-License-Identifier: Apache-2.0
"""Short names of layers for tables and charts, one for each layer; reports and the diagnosis keep the full names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from snncc.names import safe_name

#: Characters beyond which the front of a path is left out.
LONGEST = 28


def short_name(name: str) -> str:
    """A name without what exporters repeat: `/layer1/layer1.0/Relu_1_output_0` reads `layer1.0/Relu_1`."""
    parts = [part for part in safe_name(name).removesuffix("_output_0").split("/") if part] or [safe_name(name)]
    parts = [part for part, after in pairwise(parts) if not after.startswith(f"{part}.")] + parts[-1:]
    kept = len(parts)
    while kept > 1 and len("/".join(parts[-kept:])) > LONGEST:
        kept -= 1
    return "/".join(["…", *parts[-kept:]] if kept < len(parts) else parts)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name's short form; the full one where two would be the same."""
    short = {name: short_name(name) for name in names}
    times = Counter(short.values())
    return {name: text if times[text] == 1 else safe_name(name) for name, text in short.items()}
