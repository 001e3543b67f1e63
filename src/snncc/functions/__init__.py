# SPDX-License-Identifier: Apache-2.0
"""What stateless functions compute: one module per family, in each language that ships it."""
