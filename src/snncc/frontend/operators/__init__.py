# SPDX-License-Identifier: Apache-2.0
"""One function per ONNX operator; behind them nothing knows ONNX."""
