# SPDX-License-Identifier: Apache-2.0
"""The bundle NAME.snn/: its manifest, its files, and what targets put there."""
