# SPDX-License-Identifier: Apache-2.0
"""Reading files from strangers: ONNX, exported torch programs."""
