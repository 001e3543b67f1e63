# SPDX-License-Identifier: Apache-2.0
"""An integer network as C99."""
