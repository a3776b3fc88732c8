# SPDX-License-Identifier: Apache-2.0
"""A core's errors."""
