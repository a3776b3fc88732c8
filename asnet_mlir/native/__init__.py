# SPDX-License-Identifier: Apache-2.0
"""Native code: compiled, kept, loaded, run."""
