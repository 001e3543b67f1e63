# SPDX-License-Identifier: Apache-2.0
"""What a training run is: everything that its result depends on, apart from model and data."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Method = Literal["qffs", "zou"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """bits, out_bits (0: the read-out stays analog): of `qffs`. level: k of `zou`, levels of 2^-k;
    weights: ternary, or real for comparison. schedule: the
    learning rate over the run, a half cosine, or a tenth after one half and three quarters. augment: mirror images,
    shift them by up to `shift` pixels (zeros come in)."""

    method: Method
    epochs: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    lr: Annotated[float, msgspec.Meta(gt=0, le=100)] = 0.01
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)] = 128
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    augment: tuple[Literal["flip", "shift"], ...] = ()
    shift: Annotated[int, msgspec.Meta(ge=1)] = 4
    pool: Literal["event", "stride"] = "event"
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)] = 2
    out_bits: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    level: Annotated[int, msgspec.Meta(ge=0, le=4)] = 0
    weights: Literal["ternary", "real"] = "ternary"
    amp: bool = False
