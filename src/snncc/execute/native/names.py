# SPDX-License-Identifier: Apache-2.0
"""Small pieces of the generated C: types, constants of a convolution, comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from snncc.execute.native.program import Grid, Layer, Pool, Step, Term
from snncc.names import safe_name

C_TYPES = {"float32": "float", "float64": "double", "int32": "int32_t", "int16": "int16_t"}
LOWEST = {"float32": "-HUGE_VALF", "float64": "-HUGE_VAL", "int32": "INT32_MIN"}


@dataclass(slots=True, kw_only=True)
class Places:
    """The buffers of one value; whole: counts of events together with the rest beside a maximum."""

    series: int
    signs: int
    events: int
    whole: int | None = None


def extents(grid: Grid) -> str:
    """`64 x 8 x 8`."""
    return f"{grid.channels} x {grid.height} x {grid.width}"


def term_text(term: Term) -> str:
    """One convolution in words."""
    kind = "depthwise" if term.diagonal else "conv"
    kernel = "x".join(map(str, term.kernel))
    return f"{kind} {kernel} of {safe_name(term.source.node.name)} [{extents(term.source.grid)}]"


def comment(step: Step) -> str:
    """A step in words."""
    if isinstance(step, Layer):
        parts = [term_text(term) for term in step.terms]
        parts += [safe_name(a.source if isinstance(a.source, str) else a.source.node.name) for a in step.addends]
    elif isinstance(step, Pool):
        parts = [safe_name(step.source.node.name)]
    else:
        parts = [safe_name(source.node.name) for source in step.sources]
    node = step.out.node
    text = f"{safe_name(node.name)} [{extents(step.out.grid)}]: {type(node).__name__} of {' + '.join(parts)}"
    return text.replace("*/", "* /")


def conv_text(
    source: Grid,
    out: Grid,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    **more: int,
) -> str:
    """A `struct conv` literal."""
    fields = {
        "in_height": source.height,
        "in_width": source.width,
        "out_height": out.height,
        "kernel_y": kernel[0],
        "kernel_x": kernel[1],
        "stride_y": stride[0],
        "stride_x": stride[1],
        "dilation_y": dilation[0],
        "dilation_x": dilation[1],
        "pad_y": padding[0],
        "pad_x": padding[1],
        "in_blocks": source.blocks,
        **more,
    }
    return "(struct conv){" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


def instance(files: tuple[str, ...], dtype: str, width: int, definitions: Mapping[str, object]) -> str:
    """Text of the folder `c/` for ACC, a number type, and VECTOR, a vector of so many bytes, with more definitions."""
    vector = f"vector_{dtype}_{width}"
    defined = {"ACC": C_TYPES[dtype], "VECTOR": vector, **definitions}
    typedef = f"typedef {C_TYPES[dtype]} {vector} __attribute__((vector_size({width}), may_alias));"
    return "\n".join(
        [
            f"#ifndef HAS_{vector.upper()}\n#define HAS_{vector.upper()}\n{typedef}\n#endif",
            *[f"#define {key} {value}" for key, value in defined.items()],
            *[template(name) for name in files],
            *[f"#undef {key}" for key in defined],
        ]
    )


@cache
def templates() -> Environment:
    """The templates of the folder `c/`."""
    loader = PackageLoader("snncc.execute.native", "c")
    return Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)


def rendered(name: str, **values: object) -> str:
    """A template of the folder `c/` with its values."""
    return templates().get_template(name).render(**values)


def template(name: str) -> str:
    """A text of the folder `c/`."""
    return (resources.files("snncc.execute.native") / "c" / name).read_text(encoding="utf-8")
