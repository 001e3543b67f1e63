# SPDX-License-Identifier: Apache-2.0
"""A spiking network beside its ANN: metrics, early exit, choice of engine."""
