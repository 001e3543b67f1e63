# SPDX-License-Identifier: Apache-2.0
"""The C of neurons' steps: one text for the compiled scan of torch and for the native engine."""

from __future__ import annotations

from importlib import resources

#: In the order in which they use one another.
FOLDERS = ("integrate_and_fire", "signed_if", "leaky_if")
QUOTIENT = {
    "float": "floorf((v) / (theta))",
    "double": "floor((v) / (theta))",
    "int32_t": "(int32_t)floor((double)(v) / (double)(theta))",
}
NEVER = {"float": "HUGE_VALF", "double": "HUGE_VAL", "int32_t": "INT32_MAX"}


def step_text(real: str) -> str:
    """The functions that give the spikes of a step, for a type of C: float, double or int32_t."""
    texts = [(resources.files("snncc.neurons") / name / "step.h").read_text(encoding="utf-8") for name in FOLDERS]
    head = f"""#include <math.h>
#include <stdint.h>
#define INLINE static inline __attribute__((always_inline))
#define QUOTIENT(v, theta) {QUOTIENT[real]}
#define NEVER {NEVER[real]}
typedef {real} real;
"""
    return "\n".join([head, *texts])
