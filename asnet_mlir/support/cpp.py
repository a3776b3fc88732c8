# SPDX-License-Identifier: Apache-2.0
"""The C++ compiler.  What many small programs have in common, it compiles once: large headers."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from asnet_mlir.support import processes
from asnet_mlir.support.cache import cache_directory, cached_directory, content_hash

__all__ = ["compile", "version", "with_headers"]

COMPILER = "g++"
_FOUND: dict[str, Path] = {}


@functools.cache
def version() -> str:
    """Return the compiler's name, version and machine, as in `g++ 12.2.0 x86_64-linux-gnu`.

    Raises:
      ToolError: it is not installed.
    """
    done = processes.run(
        [COMPILER, "-dumpfullversion", "-dumpmachine"], purpose="asking the C++ compiler's version"
    )
    return " ".join([COMPILER, *done.stdout.split()])


def compile(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    purpose: str,
    cwd: Path | None = None,
    timeout_seconds: float,
) -> None:
    """Run the compiler.

    Raises:
      ToolError: it is not installed, failed or took too long.
    """
    processes.run([COMPILER, *arguments], purpose=purpose, cwd=cwd, timeout_seconds=timeout_seconds)


def with_headers(headers: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Return the flags of a compilation that begins with headers, which are parsed only once.

    A simulator's headers, with what they need of the standard library, take longer than a small
    model.  The compiler reads them from its own dump, which is kept for each set of flags (-O
    belongs to it); should the dump not suit, the compiler reads the headers themselves instead.

    Args:
      headers: as they stand in `#include <..>`.
      flags: of the compilation, the folders of the headers among them.  More macros may be defined
        for what follows, as long as the headers don't use them.

    Raises:
      ToolError: the compiler failed or took too long.
    """
    text = "".join(f"#include <{header}>\n" for header in headers)

    def make(folder: Path) -> None:
        (folder / "headers.h").write_text(text)
        compile(
            [*flags, "-x", "c++-header", "headers.h", "-o", "headers.h.gch"],
            purpose="compiling headers",
            cwd=folder,
            timeout_seconds=300.0,
        )

    key = content_hash(version(), text, *flags)
    folder = _FOUND.get(key)
    # Looked at once in a process: the checksum of a file this large takes its time.
    if folder is None or folder.parents[1] != cache_directory() or not folder.is_dir():
        folder = _FOUND[key] = cached_directory("headers", key, make)
    return [*flags, "-include", str(folder / "headers.h")]
