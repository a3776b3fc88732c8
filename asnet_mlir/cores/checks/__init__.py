# SPDX-License-Identifier: Apache-2.0
"""Whether a core keeps its contract."""
