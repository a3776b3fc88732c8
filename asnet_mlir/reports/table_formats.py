# SPDX-License-Identifier: Apache-2.0
"""A table as text, CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from asnet_mlir.errors import InputError

__all__ = ["FORMATS", "formatted"]

FORMATS = ("text", "csv", "markdown", "latex")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def formatted(head: Sequence[str], rows: Sequence[Sequence[str]], format: str) -> str:
    """Return a table in one of `FORMATS`; the first column is text, the others are figures.

    Raises:
      InputError: there is no such format.
    """
    if format == "csv":
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([head, *rows])
        return buffer.getvalue()
    if format == "markdown":
        ruled: list[Sequence[str]] = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        return "".join(
            "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in ruled
        )
    if format == "latex":
        lines = [r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}", r"\toprule"]
        lines += [_latex_row(head), r"\midrule", *map(_latex_row, rows)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
    if format != "text":
        raise InputError(f"unknown format '{format}'; formats are {', '.join(FORMATS)}")
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    return "".join(f"{_aligned(line, widths)}\n" for line in (head, *rows))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if number else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def _latex_row(cells: Sequence[str]) -> str:
    escaped = (re.sub(r"[\\~^&%$#_{}]", lambda m: _LATEX[m[0]], cell) for cell in cells)
    return " & ".join(text.replace("..", "--") for text in escaped) + r" \\"
