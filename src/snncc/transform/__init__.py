# SPDX-License-Identifier: Apache-2.0
"""Passes: pure functions from network to network; a pass of one's own is declared with `transform` (docs/extend.md)."""

from snncc.transform.base import Context, Fidelity, Granularity, Percentile, Transform, transform

__all__ = ["Context", "Fidelity", "Granularity", "Percentile", "Transform", "transform"]
