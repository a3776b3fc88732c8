# SPDX-License-Identifier: Apache-2.0
"""What a command line can say of a core."""

from __future__ import annotations

import functools

from asnet_mlir.cores import Instance, parse_instance
from asnet_mlir.errors import InputError

__all__ = ["is_said"]


@functools.cache
def is_said(instance: Instance, op: str) -> bool:
    """Whether `--bind` makes an instance of what its rule's label says."""
    if instance.core.in_library:
        return True
    try:
        return parse_instance(instance.reference, op=op).content_hash == instance.content_hash
    except InputError:
        return False
