# SPDX-License-Identifier: Apache-2.0
"""snn_model.c and snn_model.h: templates filled with the program; names of the model's file enter in comments only."""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate

from jinja2 import Environment, PackageLoader, StrictUndefined

from snncc.backends.c.blob import Table
from snncc.backends.c.layout import C_TYPES
from snncc.backends.c.memory import Memory
from snncc.backends.c.program import Call, Fire, Program


def comment(name: str) -> str:
    """A name from the model's file, fit for a comment of C."""
    return re.sub(r"[^A-Za-z0-9_.:-]+", "_", name)[:60]


def braced(*values: object) -> str:
    """An initializer."""
    return "{" + ", ".join(map(str, values)) + "}"


def table(t: Table) -> str:
    """A table as an initializer."""
    return braced(f"{t.offset}u", f"{t.period}u", t.bytes)


def kind_of(call: Call) -> str:
    """Which call of the runtime it is."""
    return type(call).__name__


@cache
def templates() -> Environment:
    """The templates, with what writes C in them."""
    loader = PackageLoader("snncc.backends.c")
    made = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    made.globals |= {"braced": braced, "comment": comment, "kind_of": kind_of, "table": table}
    return made


def model_source(program: Program, memory: Memory) -> str:
    """snn_model.c."""
    calls = [(f"layer_{i}", call) for i, call in enumerate(program.calls)]
    traced = {buffer.name: i for i, (_, buffer) in enumerate(program.traced)}
    write, limited = templates().get_template("calls.c.j2").render, program.schedule.kind != "constant"
    at_input = write(calls=[(n, c) for n, c in calls if c.when == "input"], gated=False, traced=traced)
    at_step = write(calls=[(n, c) for n, c in calls if c.when != "input"], gated=limited, traced=traced)
    return (
        templates()
        .get_template("model.c.j2")
        .render(
            program=program,
            schedule=program.schedule,
            memory=memory,
            calls=calls,
            c_types=C_TYPES,
            potentials={call.membrane.name: name for name, call in calls if isinstance(call, Fire)},
            starts=list(accumulate((buffer.size for _, buffer in program.inputs), initial=0)),
            at_input=at_input,
            at_step=at_step,
            gate=program.schedule.kind == "once" or re.search(r"\bgate\b", at_step),
        )
    )


def header(program: Program, *, timesteps: int, ram: int) -> str:
    """snn_model.h."""
    return templates().get_template("model.h.j2").render(program=program, timesteps=timesteps, ram=ram)
