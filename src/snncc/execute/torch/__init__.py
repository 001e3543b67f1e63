# SPDX-License-Identifier: Apache-2.0
"""The torch executor: layer by layer, steps folded into the batch."""
