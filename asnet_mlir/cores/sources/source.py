# SPDX-License-Identifier: Apache-2.0
"""Verilog files as they are read: text, order, included files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asnet_mlir.errors import InputError

__all__ = ["Source", "in_order", "include_folder", "read_source"]

_MAX_SOURCE_BYTES = 64 << 20


@dataclass(frozen=True)
class Source:
    """One Verilog file: where it lies and its text (UTF-8 without BOM, lines ended by LF)."""

    path: Path
    text: str

    def __repr__(self) -> str:
        return f"Source({str(self.path)!r})"


_PACKAGE = re.compile(r"\bpackage\s+(?:automatic\s+|static\s+)?([A-Za-z_]\w*)\s*;")
_USES = re.compile(r"\b([A-Za-z_]\w*)\s*::")


def in_order(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Put files after those that hold packages they use; otherwise the order stays."""
    if len({source.path for source in sources}) != len(sources):
        raise InputError(f"{sources[0].path}: a file is given twice")
    texts = [without_comments(source.text) for source in sources]
    home = {name: i for i, text in enumerate(texts) for name in _PACKAGE.findall(text)}
    order: list[int] = []
    open_files: set[int] = set()

    def visit(index: int) -> None:
        if index in order or index in open_files:
            return
        open_files.add(index)
        for name in dict.fromkeys(_USES.findall(texts[index])):
            if name in home:
                visit(home[name])
        order.append(index)

    for index in range(len(sources)):
        visit(index)
    return tuple(sources[index] for index in order)


def include_folder(name: str | Path) -> Path:
    path = user_path(name)
    if not path.is_dir():
        raise InputError(f"{path}: the include folder is not there")
    return path.resolve()


_COMMENTS = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(text: str) -> str:
    """Return Verilog with blanks for comments, so that positions stay what they are."""
    return _COMMENTS.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def user_path(name: str | Path) -> Path:
    """Return a path as the user wrote it, `~` expanded where that means somebody."""
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise InputError(f"{name}: {error}") from None
    if "\0" in str(path) or any(len(part.encode()) > 255 for part in path.parts):
        raise InputError(f"'{str(name)[:60]}': no name that a file can have")
    return path


def read_source(path: Path) -> Source:
    path = user_path(path)
    try:
        if path.stat().st_size > _MAX_SOURCE_BYTES:
            raise InputError(f"{path}: more than {_MAX_SOURCE_BYTES >> 20} MiB of Verilog")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if b"\0" in data:
        raise InputError(f"{path}: is not text in UTF-8")
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return Source(path.resolve(), text)


def include_folders(sources: Sequence[Source], includes: Sequence[Path]) -> tuple[Path, ...]:
    """Return where included files are looked for: beside the sources, then in `includes`."""
    folders = [source.path.parent for source in sources]
    return tuple(f for f in dict.fromkeys([*folders, *includes]) if f.is_dir())


def dependencies(sources: Sequence[Source], folders: Sequence[Path]) -> list[str]:
    """Return the texts of the files that sources include, or read into memories, recursively."""
    return [source.text for source in included(sources, folders)]


def included(sources: Sequence[Source], folders: Sequence[Path]) -> list[Source]:
    """Return the files that sources include, or read into memories, recursively."""
    pattern = re.compile(r'`include\s+"([^"\n]+)"|\$readmem[hb]\s*\(\s*"([^"\n]+)"')
    found: list[Source] = []
    seen: set[Path] = set()
    pending = [source.text for source in sources]
    while pending:
        for match in pattern.finditer(pending.pop()):
            name = match[1] or match[2]
            for folder in folders:
                path = folder / name
                if path.is_file() and path not in seen:
                    seen.add(path)
                    found.append(read_source(path))
                    pending.append(found[-1].text)
                    break
    return found
