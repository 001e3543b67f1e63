# SPDX-License-Identifier: Apache-2.0
"""Neurons and encoders: a folder each, with its node and what it computes in every language.

A neuron of one's own is a subclass of `Neuron` with a `Definition`, its step and its scan: see docs/extend.md.
"""

from snncc.neurons.node import Definition, Neuron, Place

__all__ = ["Definition", "Neuron", "Place"]
