# SPDX-License-Identifier: Apache-2.0
"""snncc: a compiler from trained ANNs (ONNX) to spiking networks."""
