# SPDX-License-Identifier: Apache-2.0
"""From a network and a recipe to a spiking network: passes, checks, records, certificates."""
