# SPDX-License-Identifier: Apache-2.0
"""Datasets, images, and what a graph expects of its inputs."""
