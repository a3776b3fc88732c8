"""Files that cores read their memories from, as a bundle holds them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from asnet_mlir.cores import Core
from asnet_mlir.cores.core import data_files
from asnet_mlir.errors import InputError, UnsupportedError

__all__ = ["placed"]

#: A name and a text.
File = tuple[str, str]


def placed(core: Core, sources: Sequence[File]) -> tuple[tuple[File, ...], tuple[File, ...]]:
    """Return a core's sources with its data files in the bundle's `rom` folder, and these files.

    The name tells the contents, so that two cores may have files of one name.

    Raises:
      InputError: a file can't be read any more.
      UnsupportedError: a name of a file that is no text in the source.
    """
    texts = [text for _, text in sources]
    found: dict[str, str] = {}
    for name in dict.fromkeys(data_files(core)):
        try:
            data = Path(name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{name}: {core.name} reads it, and it can't be read") from None
        mark = hashlib.sha256(data.encode()).hexdigest()[:8]
        stem = re.sub(r"\W", "_", Path(name).stem, flags=re.ASCII)
        if stem == "table":
            stem = core.unit.core.module if core.unit else core.module
        target = f"rom/{stem}_{mark}.hex"
        found[target] = data
        texts = [text.replace(f'"{name}"', f'"{target}"') for text in texts]
    for (file, _), text in zip(sources, texts, strict=True):
        called = re.findall(r"\$readmem[hb]\s*\(\s*([^,\s]+)", text)
        for argument in called:
            if argument.strip('"') not in found:
                raise UnsupportedError(
                    f"{file}: {core.name} reads a memory from {argument}; a bundle takes a file "
                    "that is named there"
                )
    names = [file for file, _ in sources]
    return tuple(zip(names, texts, strict=True)), tuple(found.items())
