# SPDX-License-Identifier: Apache-2.0
"""The intermediate representation: nodes, `Network`, its checks, its text, and what is known of its values."""
