# SPDX-License-Identifier: Apache-2.0
"""Bundles and cores through synthesis."""
