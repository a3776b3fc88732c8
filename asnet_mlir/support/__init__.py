# SPDX-License-Identifier: Apache-2.0
"""What every floor uses and that knows nothing of networks: errors, cache, files, processes."""
