# SPDX-License-Identifier: Apache-2.0
"""The files that memories of a design are read from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from asnet_mlir.cores.sources import text as verilog_text
from asnet_mlir.cores.sources.source import Source, include_folders, without_comments
from asnet_mlir.errors import InputError

__all__ = ["DATA_FILE", "memory_files", "with_placed_files", "without_folder"]

DATA_FILE = re.compile(r'(\$readmem[hb]\s*\(\s*")([^"\n]+)"')


def without_folder(match: re.Match[str]) -> str:
    return f'{match[1]}{Path(match[2]).name}"'


def memory_files(sources: Sequence[Source]) -> list[str]:
    """Return the files that memories are read from, as the sources name them."""
    return [
        match[2]
        for source in sources
        for match in DATA_FILE.finditer(without_comments(source.text))
    ]


def with_placed_files(sources: tuple[Source, ...], includes: Sequence[Path]) -> tuple[Source, ...]:
    """Return sources whose tables in files are named by absolute paths.

    What a name is relative to differs between simulators.
    """
    folders = include_folders(sources, includes)

    def placed(source: Source) -> Source:
        code = without_comments(source.text)
        text, end = "", 0
        for match in DATA_FILE.finditer(code):
            found = [folder / match[2] for folder in folders if (folder / match[2]).is_file()]
            if not found:
                line = code.count("\n", 0, match.start()) + 1
                raise InputError(
                    f"{source.path}:{line}: the file '{match[2]}' is not beside the sources"
                )
            place = f"{source.path}:{code.count(chr(10), 0, match.start()) + 1}"
            verilog_text.check_memory_file(found[0], 16 if "memh" in match[1] else 2, place)
            text += source.text[end : match.start(2)] + str(found[0].resolve())
            end = match.end(2)
        return dataclasses.replace(source, text=text + source.text[end:]) if end else source

    return tuple(placed(source) for source in sources)
