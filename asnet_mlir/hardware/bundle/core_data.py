# SPDX-License-Identifier: Apache-2.0
"""Files that cores read their memories from, as a bundle holds them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from asnet_mlir.cores import Core
from asnet_mlir.errors import UnsupportedError

__all__ = ["in_design", "name_in_design", "placed"]

#: A name and a text.
File = tuple[str, str]


def placed(core: Core, sources: Sequence[File]) -> tuple[tuple[File, ...], tuple[File, ...]]:
    """Return a core's sources with its data files in the bundle's `rom` folder, and these files.

    The name tells the contents, so that two cores may have files of one name.

    Raises:
      UnsupportedError: a file that is not there, or whose name is no text in the source.
    """
    texts = [text for _, text in sources]
    found: dict[str, str] = {}
    for number, (file, text) in enumerate(sources):
        for argument in dict.fromkeys(re.findall(r"\$readmem[hb]\s*\(\s*([^,\s]+)", text)):
            name = argument.strip('"')
            folders = (folder / name for folder in core.include_folders)
            path = next((p for p in folders if p.is_file()), None) if argument != name else None
            if path is None:
                raise UnsupportedError(
                    f"{file}: {core.name} reads a memory from {argument}, which is no file beside "
                    "the sources"
                )
            data = path.read_text(encoding="utf-8-sig", errors="replace")
            stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
            if stem == "table":
                stem = core.inside.module if core.inside else core.module
            target = f"rom/{stem}_{hashlib.sha256(data.encode()).hexdigest()[:8]}.hex"
            found[target] = data
            texts[number] = texts[number].replace(argument, f'"{target}"')
    names = [file for file, _ in sources]
    return tuple(zip(names, texts, strict=True)), tuple(found.items())


def name_in_design(file: str, design: str) -> str:
    """Return the path of a core's data file in the bundle of a design."""
    path = PurePosixPath(file)
    return str(path.with_name(f"{design}_{path.name}"))


def in_design(text: str, files: Iterable[str], design: str) -> str:
    """Return a source of a core that reads `files` as it is in the bundle of a design.

    The folder of the files is a macro, as a core has no parameter that could name it.
    """
    macro = f"{design}_ROM_FOLDER"
    named = text
    for file in files:
        name = PurePosixPath(name_in_design(file, design)).name
        named = named.replace(f'"{file}"', f'{{`{macro}, "/{name}"}}')
    if named == text:
        return text
    return f'`ifndef {macro}\n`define {macro} "rom"\n`endif\n{named}'
