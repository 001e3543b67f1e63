# SPDX-License-Identifier: Apache-2.0
"""The functions of the network's nodes in NumPy."""
