# SPDX-License-Identifier: Apache-2.0
"""Writes drawings of matplotlib, all of a file or nothing."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.metrics import Metric
from asnet_mlir.support.files import write_whole

__all__ = ["drawn", "save_figure"]


def drawn(metric: Metric, value: float) -> float:
    """Return a figure as drawings have it: in its unit, none for an infinite one."""
    return metric.factor * value if math.isfinite(value) else math.nan


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure in the format that the file's suffix names.

    Raises:
      InputError: there is no such format, or the place can't be written to.
      ToolError: the disk is full or failed; what was there stays.
    """
    buffer = io.BytesIO()
    try:
        figure.savefig(buffer, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise InputError(f"{path}: can't be drawn: {error}") from None
    write_whole(path, buffer.getvalue())
