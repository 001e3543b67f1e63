# SPDX-License-Identifier: Apache-2.0
"""The pages that say what a conversion cost, where and why; every number computed once."""
