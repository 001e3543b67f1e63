# SPDX-License-Identifier: Apache-2.0
"""The network as standard ONNX with explicit states, run by onnxruntime."""
