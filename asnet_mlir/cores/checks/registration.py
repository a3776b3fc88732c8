# SPDX-License-Identifier: Apache-2.0
"""No instance computes anything before it was checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from asnet_mlir.cores.checks.check import DEFAULT_VECTORS, check
from asnet_mlir.cores.core import Instance
from asnet_mlir.errors import InputError, MismatchError, warn

__all__ = ["ensure_checked", "vectors_before_use"]

_VARIABLE = "ASNET_CHECK_VECTORS"


def vectors_before_use() -> int:
    """Return how many random operand pairs a core is tried on before it is used.

    `ASNET_CHECK_VECTORS` says another number than that of a check of full length.

    Raises:
      InputError: it is no number from 1 to 2^32.
    """
    text = os.environ.get(_VARIABLE)
    if not text:
        return DEFAULT_VECTORS
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1 << 32):
        raise InputError(f"{_VARIABLE}='{text}': give a number of operand pairs from 1 to 2^32")
    return int(text)


def ensure_checked(
    instances: Iterable[Instance], progress: Callable[[int, int], None] | None = None
) -> None:
    """Check instances against their simulated Verilog and their contract; cached by content.

    `progress` is told, now and then, how many are checked and how many there are.

    Raises:
      MismatchError: a model, a latency or an exact core's result is not what it must be.
      InputError: see `check` and `vectors_before_use`.
    """
    vectors = vectors_before_use()
    for report in check(list(instances), random_vectors=vectors, progress=progress):
        for text in report.warnings:
            warn(f"{report.label}: {text}")
        if not report.passed:
            raise MismatchError(f"{report.label}: the core fails its check: {report.failures[0]}")
