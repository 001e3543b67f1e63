# SPDX-License-Identifier: Apache-2.0
"""The command line: click and rich; nothing imports it."""

from snncc.cli.commands import cli, main

__all__ = ["cli", "main"]
