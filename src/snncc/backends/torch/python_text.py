# SPDX-License-Identifier: Apache-2.0
"""Python as text: calls laid out as `ruff format` lays them out, literals, and identifiers made from foreign names."""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from snncc.names import safe_name

WIDTH = 120
LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Call:
    """`head(*args)tail`, or with other brackets; a tuple has no head."""

    head: str
    args: tuple[Term, ...]
    tail: str = ""
    brackets: str = "()"

    def __str__(self) -> str:
        comma = "," if not self.head and len(self.args) == 1 else ""
        return f"{self.head}{self.brackets[0]}{', '.join(map(str, self.args))}{comma}{self.brackets[1]}{self.tail}"


@dataclass(frozen=True, slots=True)
class Keyword:
    """`prefix` (`name=` or `lambda x: `) before a term."""

    prefix: str
    term: Term

    def __str__(self) -> str:
        return f"{self.prefix}{self.term}"


Term: TypeAlias = str | Call | Keyword


def statement(left: str, term: Term, comment: str = "", *, indent: int = 8, end: str = "") -> list[str]:
    """`left term  # comment` on one line, or with the arguments on a line, or with one argument per line."""
    pad, trail = " " * indent, end + (f"  # {comment}" if comment else "")
    flat = f"{pad}{left}{term}{trail}"
    while isinstance(term, Keyword):
        left, term = left + term.prefix, term.term
    if isinstance(term, str) or len(flat) <= WIDTH or not term.args:
        return [flat]
    first, last = f"{pad}{left}{term.head}{term.brackets[0]}", f"{pad}{term.brackets[1]}{term.tail}{trail}"
    inner = f"{pad}    {', '.join(map(str, term.args))}"
    if len(inner) <= WIDTH and not (len(term.args) == 1 and not term.head):
        return [first, inner, last]
    comma = "," if len(term.args) > 1 or not term.head else ""
    rows = [line for arg in term.args for line in statement("", arg, indent=indent + 4, end=comma)]
    return [first, *rows, last]


def escaped(text: str) -> str:
    """A double-quoted string literal of printable ASCII."""
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', "\\x22") + '"'


def remark(text: str, longest: int = 80) -> str:
    """A foreign name as part of a comment, in printable ASCII."""
    shown = safe_name(text).encode("unicode_escape").decode("ascii").replace("\\\\", "\\").replace("#", "\\x23").strip()
    return shown if len(shown) <= longest else f"{shown[: longest // 4]}...{shown[3 - longest + longest // 4 :]}"


def literal(value: Any) -> Term:
    """A value as an expression."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, (tuple, list)):
        return Call("", tuple(literal(v) for v in value))
    if isinstance(value, float):
        plain = repr(value).replace("e+", "e")
        return plain if plain.lstrip("-")[0].isdigit() else f'float("{plain}")'
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    raise TypeError(f"no literal for {type(value).__name__}")


def call(function: str, *args: Term, **options: Term) -> Call:
    """A call with keyword arguments."""
    return Call(function, (*args, *[Keyword(f"{name}=", term) for name, term in options.items()]))


class Names:
    """Unique identifiers; keywords, builtins and `taken` are never used."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = {*taken, *keyword.kwlist, *keyword.softkwlist, *dir(builtins)}

    def unique(self, wanted: str) -> str:
        """`wanted`, with a number behind it if it is taken."""
        name, i = wanted, 2
        while name in self.taken:
            name, i = f"{wanted}_{i}", i + 1
        self.taken.add(name)
        return name

    def made(self, text: str, kind: str, longest: int = LONGEST_NAME) -> str:
        """An identifier for a foreign name; `kind` leads where the name begins with a digit or has no letters.

        "/layer1/layer1.0/conv1/Conv_output_0" becomes layer1_0_conv1_conv; of a long name the end is kept.
        """
        parts = [p for p in re.split(r"[/:]+", re.sub(r":0$", "", text)) if p]
        parts = [p for i, p in enumerate(parts) if not "".join(parts[i + 1 : i + 2]).startswith(p)]
        name = re.sub(r"\W+", "_", "_".join(parts), flags=re.ASCII).lower()
        name = re.sub(r"_+", "_", re.sub(r"_output_\d+(?=_|$)", "", name)).strip("_")
        if len(name) > longest:
            _, cut, rest = name[-longest:].partition("_")
            name = (rest if cut else name[-longest:]).strip("_")
        return self.unique(name if name[:1].isalpha() else f"{kind}_{name}".strip("_"))


def leaf_modules(names: Iterable[str]) -> dict[str, str]:
    """Names without the operator at their end, where nothing else lies under the same path.

    "/bn1/BatchNormalization_output_0" becomes "/bn1"; "/layer1/Add_output_0" stays if there is "/layer1/conv1/...".
    """
    known = list(names)
    under = Counter(prefix for name in known for prefix in prefixes(name))
    found = {}
    for name in known:
        path, _, last = name.rpartition("/")
        plain = re.sub(r"(_\d+)?(_output_\d+)?([.:]\w+)?$", "", last)
        is_operator = plain[:1].isupper() and plain.isalnum() and path.strip("/") != ""
        found[name] = path if is_operator and under[path] == 1 else name
    return found


def prefixes(name: str) -> list[str]:
    """The paths above a name."""
    parts = name.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]
