# SPDX-License-Identifier: Apache-2.0
"""Bundles in simulation."""
