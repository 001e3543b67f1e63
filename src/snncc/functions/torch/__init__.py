# SPDX-License-Identifier: Apache-2.0
"""The functions of the network's nodes in torch; `model.py` contains the source of those that a network uses."""
