# SPDX-License-Identifier: Apache-2.0
"""The ANN in onnxruntime: the truth."""
