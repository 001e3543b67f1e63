# SPDX-License-Identifier: Apache-2.0
"""Networks of whole numbers.

`lower` makes one from a spiking network in floats. Its stage is "integer": the ordinary nodes, every array of an
integer type and every value a whole number, from the input's bytes to the outputs' sums.

Input      uint8, y[t] = gate[t] q; an `Affine` named "<input>.centred" subtracts the zero point where it is not 0, so
           that padding with 0 is right
Weights    `Conv` and `Linear`: int8 (int4 and ternary: int8 of a small range), one step per output channel; bias int32
           in units of the result per step; sum pools are depthwise `Conv`s of ones, means over axes `Reduce(sum)`
Units      what a neuron integrates has one unit per channel; where a branch has a coarser one, an `Affine` with a whole
           scale (identity shortcuts too) brings it there, and takes the bias of the weights before it as its shift
Neurons    `IF` and `SignedIF` with int32 threshold and v_init and amplitude 1; `Differential(MaxPool)` on whole numbers
Outputs    the sum over the steps; all entries have one unit, so that the arg max needs no scale

The definition is `execute.reference.Machine` on int64 arrays: `integer.executor`.
"""

from snncc.integer.network import MAX_TIMESTEPS, IntegerNetwork, lower

__all__ = ["MAX_TIMESTEPS", "IntegerNetwork", "lower"]
