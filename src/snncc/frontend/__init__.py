# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file to a network: read safely, one spelling, one function per operator."""
