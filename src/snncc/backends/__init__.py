# SPDX-License-Identifier: Apache-2.0
"""What is emitted: a PyTorch module, C99 in whole numbers, a NIR graph."""
