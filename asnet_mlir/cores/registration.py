"""No instance computes anything before it was checked."""

from __future__ import annotations

from collections.abc import Iterable

from asnet_mlir.cores.check import check
from asnet_mlir.cores.core import Instance
from asnet_mlir.errors import MismatchError

__all__ = ["ensure_checked"]


def ensure_checked(instances: Iterable[Instance]) -> None:
    """Check instances against their simulated Verilog and their contract; cached by content.

    Raises:
      MismatchError: a model, a latency or an exact core's result is not what it must be.
      InputError: see `check`.
    """
    for report in check(list(instances)):
        if not report.passed:
            raise MismatchError(f"{report.label}: the core fails its check: {report.failures[0]}")
