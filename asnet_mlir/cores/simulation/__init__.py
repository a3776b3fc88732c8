# SPDX-License-Identifier: Apache-2.0
"""Cores in simulators."""
