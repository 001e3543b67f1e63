# SPDX-License-Identifier: Apache-2.0
"""The event-driven engine: C generated from a network, compiled for the machine, cost in proportion to the spikes.

    network --lower--> Program --emit--> C --compile, cache--> shared object --ctypes--> Session

The steady part before the first neuron and the read-out behind the last one stay with torch (`execute.torch.engine`):
both are computed once, whatever T is. What stands between is one C function.
"""
