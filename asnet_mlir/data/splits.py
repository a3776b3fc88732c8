# SPDX-License-Identifier: Apache-2.0
"""Parts of data sets: `mnist:train[50000:60000]`, and whether two of them share samples."""

from __future__ import annotations

import math
import re

from asnet_mlir.errors import InputError

__all__ = ["check_apart", "split_range"]

_RANGE = re.compile(r"(.+)\[([0-9]{0,9}):([0-9]{0,9})\]", re.ASCII | re.DOTALL)
_FIRST = re.compile(r"(.+):([0-9]{1,9})", re.ASCII | re.DOTALL)


def split_range(name: str) -> tuple[str, int, int | None] | None:
    """Split `DATA[BEGIN:END]` into the data set and its samples; None without a range."""
    found = _RANGE.fullmatch(name)
    if found is None:
        return None
    return found[1], int(found[2] or 0), int(found[3]) if found[3] else None


def check_apart(validation: str, test: str) -> None:
    """Refuse two names of data that have samples in common: what is chosen on one is then not
    judged on samples that nobody has seen.

    Raises:
      InputError: they are parts of one data set that overlap.
    """
    one, other = _span(validation), _span(test)
    if one[0] == other[0] and max(one[1], other[1]) < min(one[2], other[2]):
        raise InputError(
            f"--validate {validation} and --test {test} have samples in common; take parts that "
            f"do not overlap, such as {one[0]}[0:N] and {one[0]}[N:]"
        )


def _span(name: str) -> tuple[str, float, float]:
    """Return the data set, and the first sample of a part and the one behind its last."""
    begin, end = 0.0, math.inf
    if part := split_range(name):
        name, begin, end = part[0], part[1], math.inf if part[2] is None else part[2]
    if found := _FIRST.fullmatch(name):
        name, end = found[1], min(end, int(found[2]))
    return name, begin, end
