# SPDX-License-Identifier: Apache-2.0
"""From a core to the function that stands for it in software."""
