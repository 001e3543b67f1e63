# SPDX-License-Identifier: Apache-2.0
"""What passes are made of; the passes themselves stand in `transform.passes`."""
