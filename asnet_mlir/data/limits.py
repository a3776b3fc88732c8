# SPDX-License-Identifier: Apache-2.0
"""How large a data file may be when it is unpacked."""

from __future__ import annotations

import os

__all__ = ["gigabytes", "memory_bytes"]


def memory_bytes() -> int:
    """Return the machine's physical memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gigabytes(size: int) -> str:
    """Return `size` bytes as text: `1.5 GiB`."""
    return f"{size / 2**30:.1f} GiB"
