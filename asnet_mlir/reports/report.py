# SPDX-License-Identifier: Apache-2.0
"""`asnet report`: a result store as a page, and as pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.reports.collect import Group, collect
from asnet_mlir.reports.figures import Look, draw_figures
from asnet_mlir.reports.html import render
from asnet_mlir.reports.quantized import read_quantization
from asnet_mlir.support.files import write_whole

__all__ = ["report", "watch"]


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
    groups = _groups(stores)
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


def watch(
    store: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    seconds: int = 5,
    quantized: Sequence[str | Path] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write a page again and again that browsers reload, as long as a study in a store runs.

    In the end, and when it is interrupted, the page is written once more, as one that stays.

    Args:
      store, output, quantized: as for `report`.
      seconds: between two pages.

    Raises:
      InputError: see `report`; less than a second.
    """
    if seconds < 1:
        raise InputError(f"report: a page can be written every second or later, not {seconds}")
    stores = [Path(store)] if isinstance(store, str | Path) else [Path(one) for one in store]
    found = [read_quantization(path) for path in quantized]
    name = ", ".join(one.name for one in stores)
    try:
        while _is_running(groups := _groups(stores)):
            _write(Path(output), render(groups, name, found, seconds), stores)
            sleep(seconds)
    finally:
        _write(Path(output), render(_groups(stores), name, found), stores)


def _is_running(groups: Sequence[Group]) -> bool:
    return any(study.state == "running" for group in groups for study in group.studies)


def _groups(stores: Sequence[Path]) -> list[Group]:
    """Return what stores hold; where there are several, each group with its store's name."""
    return [
        replace(group, store=one.name if len(stores) > 1 else "")
        for one in stores
        for group in collect(one)
    ]


def _write(path: Path, text: str, stores: Sequence[Path]) -> None:
    """Replace `path` by `text`, all of it or nothing."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file for the report")
    if path.exists() and any(path.samefile(store) for store in stores):
        raise InputError(f"{path}: is the store itself; name another file for the report")
    write_whole(path, text)
