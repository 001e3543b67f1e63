# SPDX-License-Identifier: Apache-2.0
"""Statistics of the ANN's values, streamed in bounded memory, whatever the batches."""
