# SPDX-License-Identifier: Apache-2.0
"""A spiking network as a NIR graph."""
