# SPDX-License-Identifier: Apache-2.0
"""`batch`: many models, each converted and measured in a process of its own."""
