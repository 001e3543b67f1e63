# SPDX-License-Identifier: Apache-2.0
"""Every error that snncc raises on purpose, with its exit code.

SnnccError
├── UsageError (2)         an option or argument that cannot be honoured
├── ModelError (3)         UnreadableModel, UnsupportedModel
├── RecipeError (4)        a recipe, pass or option that does not exist or does not fit
├── DataError (5)          CalibrationError
├── FidelityError (6)      a pass broke the promise it declares
├── BundleError (7)        output exists, bundle damaged or not a bundle
├── EmitError (8)          a target cannot say what the network needs
└── InvariantBroken (70)   a bug in snncc

A message names the thing, the reason and the cure. Anything else that escapes is a bug and is shown as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SnnccError(Exception):
    """Base of the errors that a user can meet; `exit_code` is the process's exit status."""

    exit_code = 1
    #: Where a raiser gives none.
    usual_cure: str | None = None

    def __init__(self, message: str, *, cure: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure or self.usual_cure

    def __str__(self) -> str:
        return f"{self.message} -> {self.cure}" if self.cure else self.message


class UsageError(SnnccError):
    """An option or argument that cannot be honoured."""

    exit_code = 2


class ModelError(SnnccError):
    """The model itself is the problem."""

    exit_code = 3


class UnreadableModel(ModelError):
    """Missing, truncated, not ONNX, or unsafe to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a graph does not convert: where, what, why and what to do."""

    node: str
    operator: str
    reason: str
    cure: str

    def __str__(self) -> str:
        return f"{self.node}  {self.operator}  {self.reason}  -> {self.cure}"


class UnsupportedModel(ModelError):
    """All the problems of a graph at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the graph\n{lines}")
        self.problems = tuple(problems)


class RecipeError(SnnccError):
    """A recipe, pass or option that does not exist or does not fit."""

    exit_code = 4


class DataError(SnnccError):
    """Calibration or evaluation data that cannot be used."""

    exit_code = 5
    usual_cure = "data are an .npz (x and y, or arrays named after the inputs), an .npy, or a folder of images by class"


class CalibrationError(DataError):
    """The data leaves a statistic undefined (empty set, NaN)."""

    usual_cure = "check the calibration data, and their preprocessing"


class FidelityError(SnnccError):
    """The measured error of a pass exceeds what the pass promises."""

    exit_code = 6


class BundleError(SnnccError):
    """The output exists already, or what was given is no intact bundle."""

    exit_code = 7


class EmitError(SnnccError):
    """A target (integer, ONNX, NIR) cannot say what the network needs."""

    exit_code = 8


class InvariantBroken(SnnccError):
    """A bug in snncc."""

    exit_code = 70

    def __init__(self, message: str) -> None:
        super().__init__(message, cure="this is a bug in snncc; please report it with the model")
