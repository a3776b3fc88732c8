# SPDX-License-Identifier: Apache-2.0
"""Evolution of approximate circuits."""
