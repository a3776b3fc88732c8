# SPDX-License-Identifier: Apache-2.0
"""`asnet report`: a result store as a page, and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.reports.collect import collect
from asnet_mlir.reports.figures import Look, draw_figures
from asnet_mlir.reports.html import render
from asnet_mlir.reports.quantized import read_quantization
from asnet_mlir.support.files import write_whole

__all__ = ["report"]


def report(
    store: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    png: str | Path | None = None,
    quantized: Sequence[str | Path] = (),
    figures: str | Path | None = None,
    look: Look = Look(format="pdf"),  # noqa: B008 (a value)
) -> list[Path]:
    """Write what a result store holds as a page, as pictures, or both.

    Args:
      store: an SQLite file that `explore` wrote, or several; they are only read.
      output: the HTML file, which is replaced if it is there.
      png: a folder for pictures, made if it is not there.
      figures, look: a folder for drawings that look otherwise, such as for a paper.
      quantized: files of what `asnet quantize --json` printed, whose layers the page shows, too.

    Returns:
      The files written.

    Raises:
      InputError: the store is missing, damaged or of another version; a place can't be written;
        neither place is given.
    """
    if output is None and png is None and figures is None:
        raise InputError("report: name an HTML file, a folder for pictures, or both")
    stores = [Path(store)] if isinstance(store, str | Path) else [Path(one) for one in store]
    groups = [
        replace(group, store=one.name if len(stores) > 1 else "")
        for one in stores
        for group in collect(one)
    ]
    found = [read_quantization(path) for path in quantized]
    written: list[Path] = []
    if output is not None:
        name = ", ".join(one.name for one in stores)
        _write(Path(output), render(groups, name, found), stores)
        written.append(Path(output))
    if png is not None:
        written += draw_figures(groups, Path(png))
    if figures is not None:
        written += draw_figures(groups, Path(figures), look)
    return written


def _write(path: Path, text: str, stores: Sequence[Path]) -> None:
    """Replace `path` by `text`, all of it or nothing."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file for the report")
    if path.exists() and any(path.samefile(store) for store in stores):
        raise InputError(f"{path}: is the store itself; name another file for the report")
    write_whole(path, text)
