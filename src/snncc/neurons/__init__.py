# SPDX-License-Identifier: Apache-2.0
"""Neurons and encoders: a folder each, with its node and what it computes in every language."""
