# SPDX-License-Identifier: Apache-2.0
"""What is said of samples in manifests and reports."""

from __future__ import annotations

import msgspec

from snncc.data.dataset import Dataset


class Samples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of samples: a description of where they come from, how many, and whether they are made up."""

    source: str
    count: int
    synthetic: bool
    labelled: bool


def described(data: Dataset) -> Samples:
    """A data set as the manifest names it."""
    return Samples(
        source=data.source,
        count=len(data),
        synthetic=data.source == "synthetic inputs",
        labelled=data.labels is not None,
    )
