# SPDX-License-Identifier: Apache-2.0
"""Executors: what they promise, NumPy (the definition), torch, event-driven C, ONNX."""
