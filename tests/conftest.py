# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures. Being here also puts this folder on sys.path, so that tests can import `small_models`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from thorough import THOROUGH

# The same examples in every run and process: a failure can be repeated, and a busy machine fails no deadline.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("deterministic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in THOROUGH."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).as_posix() in THOROUGH:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public data sets and models (SNNCC_DATA, default ../shared/data); skips where they are absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SNNCC_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set SNNCC_DATA")
    return folder
