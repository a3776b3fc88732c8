# SPDX-License-Identifier: Apache-2.0
"""`asnet report`: a result store as a page, and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.reports.collect import collect
from asnet_mlir.reports.figures import draw_figures
from asnet_mlir.reports.html import render
from asnet_mlir.reports.quantized import read_quantization
from asnet_mlir.support.files import write_whole

__all__ = ["report"]


def report(
    store: str | Path,
    output: str | Path | None = None,
    *,
    png: str | Path | None = None,
    quantized: Sequence[str | Path] = (),
) -> list[Path]:
    """Write what a result store holds as a page, as pictures, or both.

    Args:
      store: an SQLite file that `explore` wrote; it is only read.
      output: the HTML file, which is replaced if it is there.
      png: a folder for pictures, made if it is not there.
      quantized: files of what `asnet quantize --json` printed, whose layers the page shows, too.

    Returns:
      The files written.

    Raises:
      InputError: the store is missing, damaged or of another version; a place can't be written;
        neither place is given.
    """
    if output is None and png is None:
        raise InputError("report: name an HTML file, a folder for pictures, or both")
    groups = collect(store)
    found = [read_quantization(path) for path in quantized]
    written: list[Path] = []
    if output is not None:
        _write(Path(output), render(groups, Path(store).name, found), Path(store))
        written.append(Path(output))
    if png is not None:
        written += draw_figures(groups, Path(png))
    return written


def _write(path: Path, text: str, store: Path) -> None:
    """Replace `path` by `text`, all of it or nothing."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file for the report")
    if path.exists() and path.samefile(store):
        raise InputError(f"{path}: is the store itself; name another file for the report")
    write_whole(path, text)
