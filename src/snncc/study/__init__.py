# SPDX-License-Identifier: Apache-2.0
"""Searching and comparing methods."""
