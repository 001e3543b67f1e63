# SPDX-License-Identifier: Apache-2.0
"""Mutated files against every entry point of snncc."""
