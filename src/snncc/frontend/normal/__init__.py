# SPDX-License-Identifier: Apache-2.0
"""One spelling of every graph: shapes, the samples' axis, constants, control flow."""
