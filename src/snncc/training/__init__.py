# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training from the ONNX file, and its export."""
